"""List responses: pages by number up to 10,000 rows deep, by cursor to any depth.

`nexus.core.db.bounded_page` reads the rows, `nexus.core.api.cursors` the cursors; this module checks
the page and builds the envelope.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from nexus.core.api.cursors import decode_offset, decode_position, encode_cursor
from nexus.core.api.exceptions import field_error
from nexus.core.db.bounded_page import MAX_LIST_DEPTH, Ordering, count_up_to, fetch_page


def paginate(
    request: Request,
    query: Mapping[str, Any],
    queryset: QuerySet[Any],
    ordering: Ordering,
    serialize: Callable[[list[Any]], Sequence[Any]],
    *,
    count: int | None = None,
    **extra: Any,
) -> Response:
    """Return a page of a queryset in the list envelope: two queries, or one if `count` is given.

    `query` is a validated PageQuery. `serialize` turns the rows of the page into plain data. `count`
    is the number of rows, counted up to MAX_LIST_DEPTH + 1. `extra` adds keys to the envelope.
    Raises ValidationError if the page or the cursor is not one of this list.
    """
    size = query["page_size"]
    if count is None:
        count = count_up_to(queryset, MAX_LIST_DEPTH + 1)
    if "cursor" not in query:
        number = _validate_page(query, count)
        rows = fetch_page(queryset, ordering, count=count, start=(number - 1) * size, size=size)
        links = _build_page_links(request, number, size, count)
        return _build_envelope(count, *links, serialize(rows), extra)
    position = decode_position(query["cursor"], queryset, ordering) if query["cursor"] else None
    rows = fetch_page(queryset, ordering, count=count, position=position, size=size + 1)
    next_url = None
    if len(rows) > size:
        rows = rows[:size]
        cursor = encode_cursor(ordering.get_position(rows[-1]))
        next_url = _replace_param(request, "cursor", cursor)
    return _build_envelope(count, next_url, None, serialize(rows), extra)


def paginate_list(
    request: Request,
    query: Mapping[str, Any],
    items: Sequence[Any],
    serialize: Callable[[list[Any]], Sequence[Any]],
    **extra: Any,
) -> Response:
    """Return a page of a list in memory. Its cursor is an offset."""
    start, end = get_slice_bounds(query, len(items))
    results = serialize(list(items[start:end]))
    return paginate_slice(request, query, len(items), results, **extra)


def get_slice_bounds(query: Mapping[str, Any], count: int) -> tuple[int, int]:
    """Return the start and the end, as of a Python slice, of the page of a list of `count` items.

    Raises ValidationError if the page or the cursor is not one of this list.
    """
    size = query["page_size"]
    if "cursor" not in query:
        number = _validate_page(query, count)
        return (number - 1) * size, number * size
    start = decode_offset(query["cursor"]) if query["cursor"] else 0
    return start, start + size


def paginate_slice(
    request: Request, query: Mapping[str, Any], count: int, results: Sequence[Any], **extra: Any
) -> Response:
    """Return a page whose results the caller has read between the bounds of get_slice_bounds."""
    start, end = get_slice_bounds(query, count)
    if "cursor" in query:
        next_url = _replace_param(request, "cursor", encode_cursor([end])) if end < count else None
        return _build_envelope(count, next_url, None, results, extra)
    size = query["page_size"]
    links = _build_page_links(request, start // size + 1, size, count)
    return _build_envelope(count, *links, results, extra)


def paginate_after_cursor(
    request: Request, *, count: int, results: Sequence[Any], position: list[Any] | None
) -> Response:
    """Return a page that was read after a cursor.

    `position` is the position of its last row, or None on the last page.
    """
    next_url = None
    if position is not None:
        next_url = _replace_param(request, "cursor", encode_cursor(position))
    return _build_envelope(count, next_url, None, results, {})


def paginate_upstream(
    request: Request,
    *,
    number: int,
    last: int,
    count: int,
    results: Sequence[Any],
    **extra: Any,
) -> Response:
    """Return a page of a list that another service paginates; `last` is its last page's number."""
    next_url = _replace_param(request, "page", number + 1) if number < last else None
    previous_url = None
    if number > 1:
        # The page before one beyond the end is the last page.
        previous = max(min(number - 1, last), 1)
        if previous == 1:
            previous_url = str(remove_query_param(request.build_absolute_uri(), "page"))
        else:
            previous_url = _replace_param(request, "page", previous)
    return _build_envelope(count, next_url, previous_url, results, extra)


def _build_envelope(
    count: int,
    next_url: str | None,
    previous_url: str | None,
    results: Sequence[Any],
    extra: dict[str, Any],
) -> Response:
    body: dict[str, Any] = {"count": min(count, MAX_LIST_DEPTH)}
    if count > MAX_LIST_DEPTH:
        body["count_is_lower_bound"] = True
    return Response(
        {**body, "next": next_url, "previous": previous_url, **extra, "results": results}
    )


def _validate_page(query: Mapping[str, Any], count: int) -> int:
    """Return the number of the page. Raises ValidationError if the list ends before it."""
    number: int = query.get("page", 1)
    last = max(1, math.ceil(count / query["page_size"]))
    if number > last:
        raise field_error("page", f"The last page is {last}.", "out_of_range")
    return number


def _build_page_links(
    request: Request, number: int, size: int, count: int
) -> tuple[str | None, str | None]:
    """Return the URLs of the next and the previous page."""
    reachable = number * size < min(count, MAX_LIST_DEPTH) and (number + 1) * size <= MAX_LIST_DEPTH
    next_url = _replace_param(request, "page", number + 1) if reachable else None
    if number == 1:
        return next_url, None
    if number == 2:
        return next_url, remove_query_param(request.build_absolute_uri(), "page")
    return next_url, _replace_param(request, "page", number - 1)


def _replace_param(request: Request, name: str, value: Any) -> str:
    return str(replace_query_param(request.build_absolute_uri(), name, value))
