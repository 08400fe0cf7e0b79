"""Pages of bounded cost: by number down to 10,000 rows, by keyset cursor to any depth."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import connections
from django.db.models import F, Model, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from nexus.core.errors import field_error
from nexus.core.queries import prepared_rows
from nexus.core.query import MAX_DEPTH

# A walk along an ordering's index goes this far, and further the deeper the page is: of more than
# MAX_DEPTH in a million rows, chance puts a page's twenty among the first few thousand.
WALK = 20_000
WALK_A_ROW = 10
# More rows than this take longer to gather and sort than a walk of this many times the length.
GATHERED = 75_000
LONG_WALK = 10
# A page of a whole table that begins before this is read straight off the ordering's index.
NEAR = 1_000
# So many rows that the planner knows of, by one condition on a column it has statistics of, are
# surely more than MAX_DEPTH.
SURE = 2 * MAX_DEPTH


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
    #: Where the first key is computed and no index holds it, what stands for it among more than
    #: MAX_DEPTH rows: conditions that part them, in order, each with the whole number that the
    #: first key of its rows has when rounded down; within a part the other keys order.
    split: tuple[tuple[Q, float], ...] = ()
    #: What is known of the first key of every row in the list that has one: a range, in which its
    #: index is entered.
    bound: Q = field(default_factory=Q)
    #: Whether the rows come of one condition, how many pass which is known from the column's
    #: statistics, but reading 10,000 of them takes long.
    known: bool = False

    def apply(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*(key.expression for key in self.keys))

    def position(self, row: Any) -> list[Any]:
        return [_plain(_attribute(row, key.name)) for key in self.keys]

    def after(self, position: Sequence[Any]) -> Q:
        """The rows behind a position."""
        behind = Q()
        for part in self.parts(position):
            behind |= part
        return behind

    def parts(self, position: Sequence[Any] | None) -> list[Q]:
        """All rows, or those behind a position, as ranges of the ordering's index, in order.

        For each key, from the last to the first: equal up to there, and then beyond, and then null.
        """
        if position is None:
            unknown = Q(**{f"{self.keys[0].name}__isnull": True})
            return [self.bound, unknown] if self.bound and self.keys[0].nullable else [self.bound]
        parts: list[Q] = []
        equal = Q()
        for key, value in zip(self.keys, position, strict=True):
            if value is None:
                equal &= Q(**{f"{key.name}__isnull": True})
                continue
            comparison = "lt" if key.descending else "gt"
            beyond = [equal & Q(**{f"{key.name}__{comparison}": value})]
            if key is self.keys[0]:
                beyond[0] &= self.bound
            if key.nullable:
                beyond.append(equal & Q(**{f"{key.name}__isnull": True}))
            parts = beyond + parts
            equal &= Q(**{key.name: value})
        return parts


def paginated(
    request: Request,
    query: Mapping[str, Any],
    rows: QuerySet[Any],
    ordering: Ordering,
    serialize: Callable[[list[Any]], Sequence[Any]],
    *,
    read: Callable[[list[Any]], Sequence[Any]] | None = None,
    **more: Any,
) -> Response:
    """One page of a queryset as the contract's envelope.

    `query` is a validated PageQuery; `serialize` turns the page's rows into plain data; `more` goes
    beside the envelope's own keys. Where a page is asked for by its number, `read`, which gives
    plain data by ids and in their order, stands in for reading the rows, at a third of the cost.
    Raises ValidationError where page or cursor lead nowhere.
    """
    size = query["page_size"]
    if "cursor" in query:
        try:
            position = _position(ordering, query["cursor"]) if query["cursor"] else None
            count, ids = _cut(rows, ordering, 0, size + 1, position)
            page = _rows(rows, ids)
        except (DjangoValidationError, ValueError, TypeError) as error:
            raise bad_cursor() from error
        next_url = None
        if len(page) > size:
            page = page[:size]
            next_url = _with(request, "cursor", _encode(ordering.position(page[-1])))
        return _envelope(count, next_url, None, serialize(page), more)
    number = query.get("page", 1)
    count, ids = _cut(rows, ordering, (number - 1) * size, number * size)
    _checked_page(query, count)
    results = serialize(_rows(rows, ids)) if read is None else read(ids)
    return _envelope(count, *_neighbours(request, number, size, count), results, more)


def _rows(rows: QuerySet[Any], ids: list[Any]) -> list[Any]:
    place = {pk: number for number, pk in enumerate(ids)}
    page = list(rows.filter(pk__in=ids)) if ids else []
    return sorted(page, key=lambda row: place[_attribute(row, "pk")])


def _cut(
    rows: QuerySet[Any],
    ordering: Ordering,
    start: int,
    end: int,
    position: Sequence[Any] | None = None,
) -> tuple[int, list[Any]]:
    """How many rows there are, up to one over MAX_DEPTH, and the ids from `start` to before `end`.

    `end` counts from behind `position` where there is one. Left to itself, the planner would guess
    how many rows match, and a wrong guess sorts most of the table or walks it from end to end.

    1. A probe reads matching rows until there are more than MAX_DEPTH, by whatever index finds them
       soonest. Where that is all of them they are sorted, and there is the page.
    2. Else there are many, and the ordering's own index soon meets enough of them: a walk, and a
       longer one where the planner takes them to be a good part of the table.
    3. Only where they stand at the far end of that index are they gathered and sorted. This alone
       costs more the larger the table is.
    """
    first = MAX_DEPTH + 1
    count = ids = None
    if position is None and start < NEAR and _is_whole(rows, ordering):
        return _front(rows, ordering, start, end)
    if ordering.known and _guessed(rows) >= SURE:
        found = _of_many(rows, ordering, position, end)
        if len(found) == end:
            count, ids = first, found[start:]
    if count is None and position is not None:
        count = rows.order_by().values("pk")[:first].count()
    if count is None or count <= MAX_DEPTH:
        behind = rows if position is None else rows.filter(ordering.after(position))
        among, ids = _probed(behind, ordering, start, end)
        count = among if count is None else count
    if ids is None:
        ids = _of_many(rows, ordering, position, end)[start:]
    return count, ids


def _is_whole(rows: QuerySet[Any], ordering: Ordering) -> bool:
    """Whether these are all rows of a table, in an order of its own columns."""
    columns = {field.name for field in rows.model._meta.concrete_fields}
    return not rows.query.where and all(key.name in columns for key in ordering.keys)


def _front(rows: QuerySet[Any], ordering: Ordering, start: int, end: int) -> tuple[int, list[Any]]:
    """The bounded count and the ids of a page near the front of a whole table, in one query.

    The ordering's index begins with them, whatever the table holds; the text never changes. A table
    of which the statistics say that it is far larger than the bound is not counted, but where the
    page does not fill.
    """
    meta = rows.model._meta
    assert meta.pk is not None
    order = ", ".join(
        meta.get_field(key.name).column  # type: ignore[union-attr]
        + (" DESC" if key.descending else "")
        + (" NULLS LAST" if key.nullable else "")
        for key in ordering.keys
    )
    statement = (
        f"WITH page AS MATERIALIZED (SELECT ARRAY(SELECT {meta.pk.column}"  # noqa: S608 (our names)
        f" FROM {meta.db_table} ORDER BY {order} LIMIT %s OFFSET %s) AS ids)"
        " SELECT CASE WHEN cardinality(ids) = %s AND (SELECT reltuples FROM pg_class"
        f" WHERE oid = '{meta.db_table}'::regclass) >= {SURE} THEN {MAX_DEPTH + 1}"
        f" ELSE (SELECT count(*) FROM (SELECT FROM {meta.db_table} LIMIT {MAX_DEPTH + 1}) AS few)"
        " END, ids FROM page"
    )
    size = end - start
    [(count, ids)] = prepared_rows(statement.encode(), [size, start, size], using=rows.db)
    return count, ids


def _keys_of(rows: QuerySet[Any], ordering: Ordering) -> QuerySet[Any]:
    return rows.order_by().values_list("pk", *(key.name for key in ordering.keys))


def _as_sorted(ordering: Ordering) -> tuple[str, str]:
    """The names and the order of what `_keys_of` selects, as SQL."""
    names = [f"k{number}" for number in range(len(ordering.keys))]
    order = [
        name + (" DESC" if key.descending else "") + (" NULLS LAST" if key.nullable else "")
        for name, key in zip(names, ordering.keys, strict=True)
    ]
    return ", ".join(["pk", *names]), ", ".join(order)


def _probed(
    rows: QuerySet[Any], ordering: Ordering, start: int, end: int
) -> tuple[int, list[Any] | None]:
    """The bounded count, and where it is exact the ids of the page."""
    if not _is_beside_filters(rows, ordering):
        count = rows.order_by().values("pk")[: MAX_DEPTH + 1].count()
        return count, None if count > MAX_DEPTH else _gathered(rows, ordering, start, end)
    names, order = _as_sorted(ordering)
    try:
        statement, params = _keys_of(rows, ordering)[: MAX_DEPTH + 1].query.sql_with_params()
    except EmptyResultSet:
        return 0, []
    with connections[rows.db].cursor() as cursor:
        # S608: Django's own statement and names made above. A LIMIT of 0 spares the sort.
        cursor.execute(
            f"WITH found ({names}) AS MATERIALIZED ({statement}),"  # noqa: S608
            " counted AS MATERIALIZED (SELECT count(*) AS count FROM found)"
            f" SELECT count, ARRAY(SELECT pk FROM found ORDER BY {order} OFFSET %s"
            " LIMIT CASE WHEN (SELECT count FROM counted) > %s THEN 0 ELSE %s END) FROM counted",
            [*params, start, MAX_DEPTH, end - start],
        )
        count, ids = cursor.fetchone()
    return count, None if count > MAX_DEPTH else ids


def _is_beside_filters(rows: QuerySet[Any], ordering: Ordering) -> bool:
    """Whether the indexes that find rows hold the ordering too, or none holds more than its own.

    Else counting 10,000 rows from an index would read each of them only for its place.
    """
    beside = {
        name.removeprefix("-")
        for index in rows.model._meta.indexes
        if index.include
        for name in (*index.include, *index.fields)
    }
    key = rows.model._meta.pk
    own = {"pk", "id", key.name if key else ""}
    return not beside or all(each.name in beside | own for each in ordering.keys)


def _of_many(
    rows: QuerySet[Any], ordering: Ordering, position: Sequence[Any] | None, wanted: int
) -> list[Any]:
    """The ids of the first rows behind a position, where far too many match to sort them all."""
    if not ordering.split:
        far = WALK + WALK_A_ROW * wanted
        ids = _walked(rows, ordering, position, wanted, far)
        behind = rows if position is None else rows.filter(ordering.after(position))
        if ids is None and _guessed(behind) > GATHERED:
            ids = _walked(rows, ordering, position, wanted, LONG_WALK * far)
        return _gathered(behind, ordering, 0, wanted) if ids is None else ids
    ids = []
    within = Ordering(ordering.keys[1:])
    for condition, rank in ordering.split:
        since = None
        if position is not None and rank >= (reached := math.floor(position[0])):
            if rank > reached:
                continue
            since = position[1:]
        ids += _of_many(rows.filter(condition), within, since, wanted - len(ids))
        if len(ids) == wanted:
            break
    return ids


def _walked(
    rows: QuerySet[Any], ordering: Ordering, position: Sequence[Any] | None, wanted: int, far: int
) -> list[Any] | None:
    """The first ids behind a position along the ordering's index; None where it is farther."""
    ids: list[Any] = []
    for part in ordering.parts(position):
        ahead = ordering.apply(rows.model._default_manager.filter(part))[:far]
        found = ordering.apply(rows).values_list("pk", flat=True)[: wanted - len(ids)]
        ids += _among(ahead, found)
        if len(ids) == wanted:
            break
        if ahead.values("pk")[far - 1 :].exists():
            return None
    return ids


def _guessed(rows: QuerySet[Any]) -> float:
    """How many rows the planner takes to match."""
    plan: Any = rows.order_by().values("pk").explain(format="json")
    rows_guessed: float = json.loads(plan)[0]["Plan"]["Plan Rows"]
    return rows_guessed


def _among(ahead: QuerySet[Any], found: QuerySet[Any]) -> list[Any]:
    """The ids that a statement finds where the table holds no other rows than `ahead`.

    A subquery of its own on the same table would see no others either; no list here has one.
    """
    table, params = ahead.query.sql_with_params()
    statement, more = found.query.sql_with_params()
    connection = connections[found.db]
    name = connection.ops.quote_name(found.model._meta.db_table)
    with connection.cursor() as cursor:
        # In a statement a WITH of the table's name hides it, and is planned like a subquery.
        cursor.execute(f"WITH {name} AS ({table}) {statement}", [*params, *more])
        return [pk for (pk,) in cursor.fetchall()]


def _gathered(rows: QuerySet[Any], ordering: Ordering, start: int, end: int) -> list[Any]:
    """The ids of the page from all matching rows."""
    names, order = _as_sorted(ordering)
    try:
        statement, params = _keys_of(rows, ordering).query.sql_with_params()
    except EmptyResultSet:
        return []
    with connections[rows.db].cursor() as cursor:
        # OFFSET 0 keeps the planner from walking the ordering's index after all.
        cursor.execute(
            f"SELECT pk FROM ({statement} OFFSET 0) AS found ({names})"  # noqa: S608 (as above)
            f" ORDER BY {order} LIMIT %s OFFSET %s",
            [*params, end - start, start],
        )
        return [pk for (pk,) in cursor.fetchall()]


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


def _attribute(row: Any, name: str) -> Any:
    for part in name.split("__"):
        row = getattr(row, part) if isinstance(row, Model) else row[part]
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
