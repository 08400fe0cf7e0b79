"""Pages of bounded cost: by number down to 10,000 rows, by keyset cursor to any depth."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
WALK = 4_000
WALK_A_ROW = 10
# A page of a whole table that begins before this is read straight off the ordering's index.
NEAR = 1_000
# So many rows that the statistics tell of a whole table are surely more than MAX_DEPTH.
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
class Sample:
    """Rows of a table that stand for all: a condition met by every so many-th, as if by chance.

    With an index of its own it tells in a millisecond whether more rows than MAX_DEPTH match
    whatever is asked, and how far along an ordering a page of them reaches.
    """

    rows: Q
    every: int
    #: The columns of that index.
    columns: frozenset[str]

    @property
    def enough(self) -> int:
        """So many rows of the sample match only where more than MAX_DEPTH of the table do.

        Of MAX_DEPTH that many would be off by more than five standard deviations: once in ten
        million lists of that length.
        """
        return self._beyond(MAX_DEPTH, deviations=5.3)

    def reaching(self, rows: int) -> int:
        """The number, from 0, of the sample row up to which there are nearly always so many rows."""
        return self._beyond(rows, deviations=3.0)

    def _beyond(self, rows: int, *, deviations: float) -> int:
        expected = rows / self.every
        return math.ceil(expected + deviations * math.sqrt(expected))


@dataclass(frozen=True)
class Found:
    """A list's rows in two steps: what one index finds, and what the rest of the conditions leave.

    The planner, who takes conditions to be independent, would ask other indexes too and intersect.
    """

    by_index: QuerySet[Any]
    #: A queryset of all rows of the table but for those conditions, as it is to be read.
    rest: QuerySet[Any]


@dataclass(frozen=True)
class Ordering:
    """Columns that end in a unique one, so that pages neither repeat nor miss a row."""

    keys: tuple[Key, ...]
    #: Where the first key is computed and no index holds it, what stands for it among more than
    #: MAX_DEPTH rows: conditions that part them, in order, each with the whole number that the
    #: first key of its rows has when rounded down; within a part the other keys order. All parts but
    #: the last are of few rows.
    split: tuple[tuple[Q, float], ...] = ()
    #: What is known of the first key of every row in the list that has one: a range, in which its
    #: index is entered.
    bound: Q = field(default_factory=Q)
    #: What stands for the table where that is large.
    sample: Sample | None = None
    #: How the rows are found where they are few and one index holds most of their conditions.
    found: Found | None = None

    @property
    def within(self) -> Ordering:
        """The order within a part of `split`."""
        return replace(self, keys=self.keys[1:], split=())

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

    def spans(self, position: Sequence[Any] | None, limit: Sequence[Any]) -> list[Q]:
        """The rows behind a position, up to and with a limit, as ranges of the ordering's index.

        Neither may be one whose first key is unknown.
        """
        first, rest = self.keys[0], Ordering(self.keys[1:])
        ahead, behind = ("gt", "lt") if first.descending else ("lt", "gt")
        reached = Q(**{first.name: limit[0]}) & ~rest.after(limit[1:])
        beyond = self.bound & Q(**{f"{first.name}__{ahead}": limit[0]})
        if position is None:
            return [beyond, reached]
        tied = Q(**{first.name: position[0]}) & rest.after(position[1:])
        if position[0] == limit[0]:
            return [tied & reached]
        return [tied, beyond & Q(**{f"{first.name}__{behind}": position[0]}), reached]

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

    1. The sample, where the table has one, tells that far more than MAX_DEPTH match, and how far
       along the ordering the page reaches (`_first`).
    2. Else they are counted by whatever index finds them soonest. Where that is no more than
       MAX_DEPTH they are sorted, and there is the page.
    """
    if position is None and start < NEAR and _is_whole(rows, ordering):
        return _front(rows, ordering, start, end)
    sample, marks = ordering.sample, None
    if sample is not None:
        plain = ordering.within if ordering.split else ordering
        held = plain.keys[0].name in sample.columns
        found = _marks(plain.apply(rows) if held else rows, plain)
        marks = found if held else None
        if len(found) == sample.enough:
            return MAX_DEPTH + 1, _first(rows, ordering, position, end, marks)[start:]
    count, ids = _counted(rows, ordering, start, end, position)
    if ids is None:
        ids = _first(rows, ordering, position, end, marks)[start:]
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


def _counted(
    rows: QuerySet[Any],
    ordering: Ordering,
    start: int,
    end: int,
    position: Sequence[Any] | None,
) -> tuple[int, list[Any] | None]:
    """The bounded count, and where it is exact the ids of the page."""
    if position is None:
        return _probed(rows, ordering, start, end)
    count, _ = _probed(rows, ordering, 0, 0)
    if count > MAX_DEPTH:
        return count, None
    return count, _probed(rows, ordering, start, end, ordering.after(position))[1]


def _probed(
    rows: QuerySet[Any], ordering: Ordering, start: int, end: int, behind: Q | None = None
) -> tuple[int, list[Any] | None]:
    """The bounded count, and where it is exact the ids from `start` to before `end`."""
    names, order = _as_sorted(ordering)
    read = ordering.found.rest if ordering.found else rows
    if behind is not None:
        read = read.filter(behind)
    keys = _keys_of(read, ordering)
    if ordering.sample is None:
        keys = keys[: MAX_DEPTH + 1]
    # Else the sample has told that there are few; with a LIMIT the planner would hope to meet that
    # many by and by, in an index that does not find them.
    try:
        statement, params = keys.query.sql_with_params()
        if ordering.found:
            statement, params = _seeing(ordering.found.by_index, keys)
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
    return min(count, MAX_DEPTH + 1), None if count > MAX_DEPTH else ids


def _marks(rows: QuerySet[Any], ordering: Ordering) -> list[tuple[Any, ...]]:
    """The keys of the first rows that are of the sample, `enough` of them at most."""
    sample = ordering.sample
    assert sample is not None
    keys = rows.filter(sample.rows).values_list(*(key.name for key in ordering.keys))
    return list(keys[: sample.enough])


def _first(
    rows: QuerySet[Any],
    ordering: Ordering,
    position: Sequence[Any] | None,
    wanted: int,
    marks: Sequence[tuple[Any, ...]] | None = None,
) -> list[Any]:
    """The ids of the first rows behind a position, where far too many match to sort them all.

    Among so many the ordering's own index soon meets enough: a walk. Where they stand far along it,
    the sample tells how far: up to there rows are few, whatever finds them. Only where neither helps
    are all gathered, which alone costs more the larger the table is. `marks` of the rows where they
    are at hand.
    """
    if ordering.split:
        return _first_of_parts(rows, ordering, position, wanted)
    behind = rows if position is None else rows.filter(ordering.after(position))
    ids = _walked(rows, ordering, position, wanted, WALK + WALK_A_ROW * wanted)
    if ids is not None:
        return ids
    if ordering.sample is not None and (position is None or position[0] is not None):
        if marks is None or position is not None:
            marks = _marks(ordering.apply(behind), ordering)
        reach = ordering.sample.reaching(wanted)
        for mark in marks[reach :: reach + 1][:2]:
            if mark[0] is None:
                break
            spans = [rows.filter(span) for span in ordering.spans(position, mark)]
            ids = _gathered(spans, ordering, wanted)
            if len(ids) == wanted:
                return ids
    return _gathered([behind], ordering, wanted)


def _first_of_parts(
    rows: QuerySet[Any], ordering: Ordering, position: Sequence[Any] | None, wanted: int
) -> list[Any]:
    ids: list[Any] = []
    last, _ = ordering.split[-1]
    for condition, rank in ordering.split:
        since = None
        if position is not None and rank >= (reached := math.floor(position[0])):
            if rank > reached:
                continue
            since = position[1:]
        part, within, left = rows.filter(condition), ordering.within, wanted - len(ids)
        if condition == last:
            return ids + _first(part, within, since, left)
        if since is not None:
            part = part.filter(within.after(since))
        ids += _gathered([part], within, left)
        if len(ids) == wanted:
            break
    return ids


def _walked(
    rows: QuerySet[Any], ordering: Ordering, position: Sequence[Any] | None, wanted: int, far: int
) -> list[Any] | None:
    """The first ids behind a position along the ordering's index; None where it is farther.

    Where the sample will tell, no more is looked whether these are all."""
    ids: list[Any] = []
    for part in ordering.parts(position):
        ahead = ordering.apply(rows.model._default_manager.filter(part))[:far]
        found = ordering.apply(rows).values_list("pk", flat=True)[: wanted - len(ids)]
        ids += _among(ahead, found)
        if len(ids) == wanted:
            break
        if ordering.sample is not None or ahead.values("pk")[far - 1 :].exists():
            return None
    return ids


def _among(ahead: QuerySet[Any], found: QuerySet[Any]) -> list[Any]:
    """The ids that a statement finds where the table holds no other rows than `ahead`."""
    statement, params = _seeing(ahead, found)
    with connections[found.db].cursor() as cursor:
        cursor.execute(statement, params)
        return [pk for (pk,) in cursor.fetchall()]


def _seeing(ahead: QuerySet[Any], found: QuerySet[Any]) -> tuple[str, list[Any]]:
    """The statement of `found`, as it is where the table holds no other rows than `ahead`.

    In a statement a WITH of the table's name hides it, and is planned like a subquery; OFFSET 0 keeps
    it apart. A subquery of its own on the same table would see no others either; no list here has one.
    """
    table, params = ahead.query.sql_with_params()
    statement, more = found.query.sql_with_params()
    name = connections[found.db].ops.quote_name(found.model._meta.db_table)
    return f"WITH {name} AS ({table} OFFSET 0) {statement}", [*params, *more]


def _gathered(some: Sequence[QuerySet[Any]], ordering: Ordering, wanted: int) -> list[Any]:
    """The first ids of all the rows of some querysets, which have none in common."""
    names, order = _as_sorted(ordering)
    statements, params = [], list[Any]()
    for rows in some:
        with suppress(EmptyResultSet):
            statement, of_rows = _keys_of(rows, ordering).query.sql_with_params()
            statements.append(statement)
            params += of_rows
    if not statements:
        return []
    found = " UNION ALL ".join(statements)
    with connections[some[0].db].cursor() as cursor:
        # OFFSET 0 keeps the planner from walking the ordering's index in the hope to meet them soon.
        cursor.execute(
            f"SELECT pk FROM ({found} OFFSET 0) AS found ({names})"  # noqa: S608 (as above)
            f" ORDER BY {order} LIMIT %s",
            [*params, wanted],
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
