"""Pages of bounded cost: by number down to 10,000 rows, by keyset cursor to any depth."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from nexus.core.api.exceptions import field_error
from nexus.core.api.query_params import MAX_LIST_DEPTH
from nexus.core.db.bounded_page import Ordering, Reader, cut, instances, read_rows


def paginate(
    request: Request,
    query: Mapping[str, Any],
    rows: QuerySet[Any],
    ordering: Ordering,
    serialize: Callable[[list[Any]], Sequence[Any]],
    *,
    reader: Reader | None = None,
    **more: Any,
) -> Response:
    """One page of a queryset as the contract's envelope.

    `query` is a validated PageQuery; `serialize` turns the page's rows into plain data; `more` goes
    beside the envelope's own keys. Where a page is asked for by its number, `reader` stands in for
    reading instances and serializing them. Raises ValidationError where page or cursor lead nowhere.
    """
    size = query["page_size"]
    if "cursor" in query:
        try:
            position = _position(ordering, query["cursor"]) if query["cursor"] else None
            found = cut(rows, ordering, 0, size + 1, position=position)
            page = instances(rows, found.ids)
        except (DjangoValidationError, ValueError, TypeError) as error:
            raise bad_cursor() from error
        next_url = None
        if len(page) > size:
            page = page[:size]
            next_url = _with(request, "cursor", _encode(ordering.position(page[-1])))
        return _envelope(found.count, next_url, None, serialize(page), more)
    number = query.get("page", 1)
    found = cut(rows, ordering, (number - 1) * size, number * size, reader=reader)
    _checked_page(query, found.count)
    if reader is None:
        results = serialize(instances(rows, found.ids))
    else:
        read = found.read if found.read is not None else read_rows(rows, reader.columns, found.ids)
        results = reader.plain(read)
    return _envelope(found.count, *_neighbours(request, number, size, found.count), results, more)


def paginate_list(
    request: Request,
    query: Mapping[str, Any],
    items: Sequence[Any],
    serialize: Callable[[list[Any]], Sequence[Any]],
    **more: Any,
) -> Response:
    """One page of a list that is already at hand; its cursor is an offset."""
    start, end = get_slice_bounds(query, len(items))
    page = serialize(list(items[start:end]))
    return paginate_slice(request, query, len(items), page, **more)


def get_slice_bounds(query: Mapping[str, Any], count: int) -> tuple[int, int]:
    """The part of a list of `count` things that a validated PageQuery asks for: from, to before.

    Raises ValidationError where page or cursor lead nowhere.
    """
    size = query["page_size"]
    if "cursor" in query:
        start = 0
        if query["cursor"]:
            position = _decode(query["cursor"])
            if len(position) != 1 or type(position[0]) is not int or position[0] < 0:
                raise bad_cursor()
            start = position[0]
        return start, start + size
    number = _checked_page(query, count)
    return (number - 1) * size, number * size


def paginate_slice(
    request: Request, query: Mapping[str, Any], count: int, results: Sequence[Any], **more: Any
) -> Response:
    """What stands in the `span` of a list of `count` things, in the envelope."""
    start, end = get_slice_bounds(query, count)
    if "cursor" in query:
        next_url = _with(request, "cursor", _encode([end])) if end < count else None
        return _envelope(count, next_url, None, results, more)
    size = query["page_size"]
    return _envelope(count, *_neighbours(request, start // size + 1, size, count), results, more)


def decode_cursor(query: Mapping[str, Any]) -> list[Any] | None:
    """What a cursor holds, for a list that reads its own way; None where it begins.

    Raises ValidationError for what is no cursor; whether it is one of this list is for it to see.
    """
    return _decode(query["cursor"]) if query.get("cursor") else None


def paginate_after_cursor(
    request: Request, *, count: int, results: Sequence[Any], position: list[Any] | None
) -> Response:
    """A page that begins behind a cursor, in the envelope; `position` is its end, None at the last."""
    next_url = None if position is None else _with(request, "cursor", _encode(position))
    return _envelope(count, next_url, None, results, {})


def paginate_upstream(
    request: Request,
    *,
    number: int,
    last: int,
    count: int,
    results: Sequence[Any],
    **more: Any,
) -> Response:
    """One page that another service has cut, in the envelope; `last` is the last page it gives."""
    next_url = _with(request, "page", number + 1) if number < last else None
    previous_url = None
    if number > 1:
        # From beyond the end the way back leads to the end.
        previous = max(min(number - 1, last), 1)
        if previous == 1:
            previous_url = str(remove_query_param(request.build_absolute_uri(), "page"))
        else:
            previous_url = _with(request, "page", previous)
    return _envelope(count, next_url, previous_url, results, more)


def _envelope(
    count: int,
    next_url: str | None,
    previous_url: str | None,
    results: Sequence[Any],
    more: dict[str, Any],
) -> Response:
    body: dict[str, Any] = {"count": min(count, MAX_LIST_DEPTH)}
    if count > MAX_LIST_DEPTH:
        body["count_is_lower_bound"] = True
    return Response(
        {**body, "next": next_url, "previous": previous_url, **more, "results": results}
    )


def _checked_page(query: Mapping[str, Any], count: int) -> int:
    number: int = query.get("page", 1)
    last = max(1, math.ceil(count / query["page_size"]))
    if number > last:
        raise field_error("page", f"The last page is {last}.", "out_of_range")
    return number


def _neighbours(
    request: Request, number: int, size: int, count: int
) -> tuple[str | None, str | None]:
    reachable = number * size < min(count, MAX_LIST_DEPTH) and (number + 1) * size <= MAX_LIST_DEPTH
    next_url = _with(request, "page", number + 1) if reachable else None
    if number == 1:
        return next_url, None
    if number == 2:
        return next_url, remove_query_param(request.build_absolute_uri(), "page")
    return next_url, _with(request, "page", number - 1)


def _with(request: Request, name: str, value: Any) -> str:
    return str(replace_query_param(request.build_absolute_uri(), name, value))


def _position(ordering: Ordering, cursor: str) -> list[Any]:
    position = _decode(cursor)
    if len(position) != len(ordering.keys):
        raise bad_cursor()
    for key, value in zip(ordering.keys, position, strict=True):
        if isinstance(value, list | dict | bool) or (value is None and not key.nullable):
            raise bad_cursor()
        if isinstance(value, int) and abs(value) >= 2**63:
            raise bad_cursor()
    return position


def _encode(position: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _decode(cursor: str) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        # What cannot be a text of PostgreSQL's or a finite number was not made here.
        text = json.dumps(position, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise bad_cursor() from error
    if not isinstance(position, list) or "\\u0000" in text:
        raise bad_cursor()
    return position


def bad_cursor() -> Exception:
    """The 400 for a cursor of another list."""
    return field_error("cursor", "This cursor was not made by this list. Begin with cursor=.")
