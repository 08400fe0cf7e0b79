"""Pages of bounded cost: by number down to 10,000 rows, by keyset cursor to any depth."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import F, Model, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from nexus.core.errors import field_error
from nexus.core.query import MAX_DEPTH


@dataclass(frozen=True)
class Key:
    """One column of an ordering."""

    name: str
    descending: bool = False
    nullable: bool = False

    @property
    def expression(self) -> Any:
        # Nulls stand last in both directions: a film without a date is neither newest nor oldest.
        nulls = {"nulls_last": True} if self.nullable else {}
        column = F(self.name)
        return column.desc(**nulls) if self.descending else column.asc(**nulls)


@dataclass(frozen=True)
class Ordering:
    """Columns that end in a unique one, so that pages neither repeat nor miss a row."""

    keys: tuple[Key, ...]

    def apply(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*(key.expression for key in self.keys))

    def position(self, row: Any) -> list[Any]:
        return [_plain(_attribute(row, key.name)) for key in self.keys]

    def after(self, position: Sequence[Any]) -> Q:
        """The rows behind a position: for each key, equal so far and then beyond."""
        behind = Q()
        equal = Q()
        for key, value in zip(self.keys, position, strict=True):
            if value is not None:
                comparison = "lt" if key.descending else "gt"
                beyond = Q(**{f"{key.name}__{comparison}": value})
                if key.nullable:
                    beyond |= Q(**{f"{key.name}__isnull": True})
                behind |= equal & beyond
                equal &= Q(**{key.name: value})
            else:
                equal &= Q(**{f"{key.name}__isnull": True})
        return behind


def paginated(
    request: Request,
    query: Mapping[str, Any],
    rows: QuerySet[Any],
    ordering: Ordering,
    serialize: Callable[[list[Any]], Sequence[Any]],
    **more: Any,
) -> Response:
    """One page of a queryset as the contract's envelope.

    `query` is a validated PageQuery; `serialize` turns the page's rows into plain data; `more` goes
    beside the envelope's own keys. Raises ValidationError where page or cursor lead nowhere.
    """
    ordered = ordering.apply(rows)
    count = rows.order_by().values("pk")[: MAX_DEPTH + 1].count()
    size = query["page_size"]
    if "cursor" in query:
        try:
            if query["cursor"]:
                ordered = ordered.filter(_behind(ordering, query["cursor"]))
            page = list(ordered[: size + 1])
        except (DjangoValidationError, ValueError, TypeError) as error:
            raise bad_cursor() from error
        next_url = None
        if len(page) > size:
            page = page[:size]
            next_url = _with(request, "cursor", _encode(ordering.position(page[-1])))
        return _envelope(count, next_url, None, serialize(page), more)
    number = _checked_page(query, count)
    page = list(ordered[(number - 1) * size : number * size])
    return _envelope(count, *_neighbours(request, number, size, count), serialize(page), more)


def paginated_list(
    request: Request,
    query: Mapping[str, Any],
    items: Sequence[Any],
    serialize: Callable[[list[Any]], Sequence[Any]],
    **more: Any,
) -> Response:
    """One page of a list that is already at hand; its cursor is an offset."""
    start, end = span(query, len(items))
    page = serialize(list(items[start:end]))
    return paginated_span(request, query, len(items), page, **more)


def span(query: Mapping[str, Any], count: int) -> tuple[int, int]:
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


def paginated_span(
    request: Request, query: Mapping[str, Any], count: int, results: Sequence[Any], **more: Any
) -> Response:
    """What stands in the `span` of a list of `count` things, in the envelope."""
    start, end = span(query, count)
    if "cursor" in query:
        next_url = _with(request, "cursor", _encode([end])) if end < count else None
        return _envelope(count, next_url, None, results, more)
    size = query["page_size"]
    return _envelope(count, *_neighbours(request, start // size + 1, size, count), results, more)


def position_behind(query: Mapping[str, Any]) -> list[Any] | None:
    """What a cursor holds, for a list that reads its own way; None where it begins.

    Raises ValidationError for what is no cursor; whether it is one of this list is for it to see.
    """
    return _decode(query["cursor"]) if query.get("cursor") else None


def paginated_behind(
    request: Request, *, count: int, results: Sequence[Any], position: list[Any] | None
) -> Response:
    """A page that begins behind a cursor, in the envelope; `position` is its end, None at the last."""
    next_url = None if position is None else _with(request, "cursor", _encode(position))
    return _envelope(count, next_url, None, results, {})


def paginated_upstream(
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
    body: dict[str, Any] = {"count": min(count, MAX_DEPTH)}
    if count > MAX_DEPTH:
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
    reachable = number * size < min(count, MAX_DEPTH) and (number + 1) * size <= MAX_DEPTH
    next_url = _with(request, "page", number + 1) if reachable else None
    if number == 1:
        return next_url, None
    if number == 2:
        return next_url, remove_query_param(request.build_absolute_uri(), "page")
    return next_url, _with(request, "page", number - 1)


def _with(request: Request, name: str, value: Any) -> str:
    return str(replace_query_param(request.build_absolute_uri(), name, value))


def _behind(ordering: Ordering, cursor: str) -> Q:
    position = _decode(cursor)
    if len(position) != len(ordering.keys):
        raise bad_cursor()
    for key, value in zip(ordering.keys, position, strict=True):
        if isinstance(value, list | dict | bool) or (value is None and not key.nullable):
            raise bad_cursor()
        if isinstance(value, int) and abs(value) >= 2**63:
            raise bad_cursor()
    return ordering.after(position)


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


def _attribute(row: Any, name: str) -> Any:
    for part in name.split("__"):
        row = getattr(row, part) if isinstance(row, Model) else row[part]
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
