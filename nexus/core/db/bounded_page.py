"""A page's rows cut from a list, at a cost that does not grow with the table.

Left to itself, the planner would guess how many rows match, and a wrong guess sorts most of the
table or walks it from end to end. So the steps are fixed, and each is bounded:

1. The sample, where the table has one, tells that far more rows than MAX_LIST_DEPTH match. Among so many
   the ordering's own index soon meets a page of them (a walk); where they stand far along it, the
   sample tells how far, and up to there rows are few, whatever finds them.
2. Else they are counted by whatever index finds them soonest. Where that is no more than MAX_LIST_DEPTH
   they are sorted, and there is the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections
from django.db.models import F, Model, Q, QuerySet

from nexus.core.api.query_params import MAX_LIST_DEPTH
from nexus.core.db.raw_sql import prepared_rows

# A walk along an ordering's index goes this far, and further the deeper the page is: of more than
# MAX_LIST_DEPTH in a million rows, chance puts a page's twenty among the first two thousand.
WALK = 4_000
WALK_A_ROW = 10
# A page that begins before this is near the front of its list.
NEAR = 1_000
# So many rows that the statistics tell of a whole table are surely more than MAX_LIST_DEPTH.
SURE = 2 * MAX_LIST_DEPTH


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

    def sorting(self, column: str) -> str:
        """The same as SQL, of a column that has the key's values."""
        nulls = " NULLS LAST" if self.nullable else ""
        return f"{column} DESC{nulls}" if self.descending else column + nulls


@dataclass(frozen=True)
class Sample:
    """Rows of a table that stand for all: a condition met by every so many-th, as if by chance.

    With an index of its own it tells in a millisecond whether more rows than MAX_LIST_DEPTH match
    whatever is asked, and how far along an ordering a page of them reaches. For lists of one table,
    joined to no other.
    """

    rows: Q
    every: int
    #: The columns of that index.
    columns: frozenset[str]

    @property
    def enough(self) -> int:
        """So many rows of the sample match only where more than MAX_LIST_DEPTH of the table do.

        Of MAX_LIST_DEPTH that many would be off by more than five standard deviations: once in ten
        million lists of that length.
        """
        return self._beyond(MAX_LIST_DEPTH, deviations=5.3)

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
    #: What that index has on a column (its name) lying between two values, either of which may be open.
    ranging: Callable[[str, Any, Any], Q]


@dataclass(frozen=True)
class Ordering:
    """Columns that end in a unique one, so that pages neither repeat nor miss a row."""

    keys: tuple[Key, ...]
    #: Where the first key is computed and no index holds it, what stands for it among more than
    #: MAX_LIST_DEPTH rows: conditions that part them, in order, each with the whole number that the
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
        return replace(self, keys=self.keys[1:], split=(), found=None)

    def apply(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*(key.expression for key in self.keys))

    def position(self, row: Any) -> list[Any]:
        return [_plain(attribute(row, key.name)) for key in self.keys]

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


def attribute(row: Any, name: str) -> Any:
    for part in name.split("__"):
        row = getattr(row, part) if isinstance(row, Model) else row[part]
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


@dataclass(frozen=True)
class Reader:
    """How a page's rows become plain data, past the ORM, at a third of its cost."""

    #: Columns as SQL writes them, with {table} where the table's name belongs.
    columns: tuple[str, ...]
    #: Plain data of rows of those columns.
    plain: Callable[[Sequence[tuple[Any, ...]]], Sequence[Any]]


@dataclass(frozen=True)
class Cut:
    """How many rows a list has, up to one over MAX_LIST_DEPTH, and those that were asked for."""

    count: int
    ids: Sequence[Any]
    #: What a Reader read of them, where they came with their columns.
    read: Sequence[tuple[Any, ...]] | None = None


def cut(
    rows: QuerySet[Any],
    ordering: Ordering,
    start: int,
    end: int,
    *,
    position: Sequence[Any] | None = None,
    reader: Reader | None = None,
) -> Cut:
    """The rows from `start` to before `end`, which count from behind `position` where there is one."""
    near = position is None and start < NEAR
    if near and _is_whole(rows, ordering):
        return _front(rows, ordering, start, end, reader)
    sample, marks = ordering.sample, None
    if sample is not None:
        plain = ordering.within if ordering.split else ordering
        held = plain.keys[0].name in sample.columns
        if near and held and plain is ordering:
            marks, walked = _marked(rows, ordering, start, end, reader)
            if walked is not None:
                return walked
            if len(marks) == sample.enough:
                return Cut(
                    MAX_LIST_DEPTH + 1, _marked_out(rows, ordering, None, end, marks)[start:]
                )
        else:
            marks = _marks(plain.apply(rows) if held else rows, plain)
            if len(marks) == sample.enough:
                return Cut(MAX_LIST_DEPTH + 1, _first(rows, ordering, position, end)[start:])
    count, few = _counted(rows, ordering, start, end, position)
    if few is None:
        few = _first(rows, ordering, position, end)[start:]
    return Cut(count, few)


def instances(rows: QuerySet[Any], ids: Sequence[Any]) -> list[Any]:
    """The rows of these ids, in their order; one query."""
    place = {pk: number for number, pk in enumerate(ids)}
    page = list(rows.filter(pk__in=ids)) if ids else []
    return sorted(page, key=lambda row: place[attribute(row, "pk")])


def read_rows(
    rows: QuerySet[Any], columns: Sequence[str], ids: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """These columns (as a Reader has them) of the rows of these ids, in their order; one query."""
    if not ids:
        return []
    meta = rows.model._meta
    assert meta.pk is not None
    statement = (
        f"SELECT {meta.pk.column}, {_of(meta.db_table, columns)} FROM {meta.db_table}"  # noqa: S608
        f" WHERE {meta.pk.column} = ANY(%s::bigint[])"
    )
    found = {
        row[0]: row[1:] for row in prepared_rows(statement.encode(), [list(ids)], using=rows.db)
    }
    return [found[pk] for pk in ids if pk in found]


def _is_whole(rows: QuerySet[Any], ordering: Ordering) -> bool:
    """Whether these are all rows of a table, in an order of its own columns."""
    columns = {field.name for field in rows.model._meta.concrete_fields}
    return not rows.query.where and all(key.name in columns for key in ordering.keys)


def _in_order(rows: QuerySet[Any], ordering: Ordering) -> str:
    """The order of a table's own columns, as SQL."""
    meta = rows.model._meta
    return ", ".join(
        key.sorting(meta.get_field(key.name).column)  # type: ignore[union-attr]
        for key in ordering.keys
    )


def _of(table: str, columns: Sequence[str]) -> str:
    return ", ".join(columns).format(table=table)


def _page_of(rows: QuerySet[Any], reader: Reader | None) -> tuple[str, str]:
    """What to select of the rows whose ids stand in `page (pk, place)`, and from what."""
    meta = rows.model._meta
    assert meta.pk is not None
    if reader is None:
        return "page.pk", "page"
    own = f"{meta.db_table}.{meta.pk.column}"
    return (
        f"page.pk, {_of(meta.db_table, reader.columns)}",
        f"page JOIN {meta.db_table} ON {own} = page.pk",
    )


def _front(
    rows: QuerySet[Any], ordering: Ordering, start: int, end: int, reader: Reader | None
) -> Cut:
    """A page near the front of a whole table, with the bounded count, in one query.

    The ordering's index begins with it, whatever the table holds. A table of which the statistics
    say that it is far larger than the bound is not counted, but where the page does not fill.
    """
    meta = rows.model._meta
    assert meta.pk is not None
    columns, source = _page_of(rows, reader)
    # Numbers are written out: of a text without parameters the plan is kept.
    size = end - start
    statement = (
        "WITH page AS MATERIALIZED (SELECT pk, row_number() OVER () AS place FROM"  # noqa: S608
        f" (SELECT {meta.pk.column} AS pk FROM {meta.db_table}"
        f" ORDER BY {_in_order(rows, ordering)} LIMIT {size} OFFSET {start}) AS first),"
        f" counted AS (SELECT CASE WHEN (SELECT count(*) FROM page) = {size} AND"
        f" (SELECT reltuples FROM pg_class WHERE oid = '{meta.db_table}'::regclass) >= {SURE}"
        f" THEN {MAX_LIST_DEPTH + 1} ELSE (SELECT count(*) FROM"
        f" (SELECT FROM {meta.db_table} LIMIT {MAX_LIST_DEPTH + 1}) AS few) END AS count)"
        f" SELECT counted.count, found.* FROM counted LEFT JOIN"
        f" (SELECT page.place, {columns} FROM {source}) AS found ON true ORDER BY found.place"
    )
    found = prepared_rows(statement.encode(), [], using=rows.db)
    page = [row[2:] for row in found if row[1] is not None]
    return Cut(found[0][0], [row[0] for row in page], [row[1:] for row in page] if reader else None)


Marks = Sequence[tuple[Any, ...]]


def _marked(
    rows: QuerySet[Any], ordering: Ordering, start: int, end: int, reader: Reader | None
) -> tuple[Marks, Cut | None]:
    """The sample's marks (`_marks`), and where there are enough of them a page near the front, if a
    walk meets it; one query."""
    sample, meta = ordering.sample, rows.model._meta
    assert sample is not None
    assert meta.pk is not None
    try:
        where, params = _conditions(rows)
        mine, numbers = _conditions(rows.model._default_manager.filter(sample.rows))
    except EmptyResultSet:
        return [], Cut(0, [], [])
    table, order = meta.db_table, _in_order(rows, ordering)
    keys = [meta.get_field(key.name).column for key in ordering.keys]  # type: ignore[union-attr]
    columns, source = _page_of(rows, reader)
    bounds, of_bounds = _conditions(rows.model._default_manager.filter(ordering.bound))
    # The sample's index is only used where its condition stands written out.
    mine %= tuple(int(number) for number in numbers)
    walk = WALK + WALK_A_ROW * end
    size = end - start
    marks = ", ".join(f"ARRAY(SELECT {key} FROM marks)" for key in keys)  # noqa: S608 (as below)
    statement = (
        f"WITH marks AS MATERIALIZED (SELECT {', '.join(keys)} FROM {table}"  # noqa: S608
        f" WHERE {where} AND {mine} ORDER BY {order} LIMIT {sample.enough}),"
        " page AS MATERIALIZED (SELECT pk, row_number() OVER () AS place FROM"
        f" (SELECT {meta.pk.column} AS pk FROM"
        f" (SELECT * FROM {table} WHERE {bounds} ORDER BY {order} LIMIT {walk}) AS {table}"
        f" WHERE {where} AND (SELECT count(*) FROM marks) = {sample.enough}"
        f" ORDER BY {order} LIMIT {size} OFFSET {start}) AS first),"
        f" met AS (SELECT (SELECT count(*) FROM page) = {size} AS whole)"
        f" SELECT told.*, found.* FROM (SELECT whole, {marks} FROM met WHERE NOT whole"
        f" UNION ALL SELECT whole{', NULL' * len(keys)} FROM met WHERE whole) AS told"
        f" LEFT JOIN (SELECT page.place, {columns} FROM {source}) AS found ON told.whole"
        " ORDER BY found.place"
    )
    # Prepared, because of what is asked most (genres alone, which stand written out) to make the plan
    # takes longer than to follow it.
    found = prepared_rows(statement.encode(), [*params, *of_bounds, *params], using=rows.db)
    if not found[0][0]:
        return list(zip(*found[0][1 : 1 + len(keys)], strict=True)), None
    page = [row[2 + len(keys) :] for row in found]
    read = [row[1:] for row in page] if reader else None
    return [], Cut(MAX_LIST_DEPTH + 1, [row[0] for row in page], read)


def _conditions(rows: QuerySet[Any]) -> tuple[str, Sequence[Any]]:
    """The conditions of a queryset as SQL; those of a subquery stay its own.

    Raises EmptyResultSet where nothing can meet them.
    """
    try:
        where, params = rows.query.get_compiler(rows.db).compile(rows.query.where)
    except FullResultSet:
        return "true", ()
    return f"({where})", params


def _keys_of(rows: QuerySet[Any], ordering: Ordering) -> QuerySet[Any]:
    return rows.order_by().values_list("pk", *(key.name for key in ordering.keys))


def _as_sorted(ordering: Ordering) -> tuple[str, str]:
    """The names and the order of what `_keys_of` selects, as SQL."""
    names = [f"k{number}" for number in range(len(ordering.keys))]
    order = [key.sorting(name) for name, key in zip(names, ordering.keys, strict=True)]
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
    if count > MAX_LIST_DEPTH:
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
    if ordering.sample is None or ordering.found:
        keys = keys[: MAX_LIST_DEPTH + 1]
    # Else the sample has told that there are few; with a LIMIT the planner would hope to meet that
    # many by and by, in an index that does not find them. Where one index finds them it has no choice.
    try:
        if ordering.found:
            statement, params = _seeing(ordering.found.by_index, keys)
        else:
            statement, params = keys.query.sql_with_params()
    except EmptyResultSet:
        return 0, []
    with connections[rows.db].cursor() as cursor:
        # S608: Django's own statement and names made above. A LIMIT of 0 spares the sort.
        cursor.execute(
            f"WITH found ({names}) AS MATERIALIZED ({statement}),"  # noqa: S608
            " counted AS MATERIALIZED (SELECT count(*) AS count FROM found)"
            f" SELECT count, ARRAY(SELECT pk FROM found ORDER BY {order} OFFSET %s"
            " LIMIT CASE WHEN (SELECT count FROM counted) > %s THEN 0 ELSE %s END) FROM counted",
            [*params, start, MAX_LIST_DEPTH, end - start],
        )
        count, ids = cursor.fetchone()
    return min(count, MAX_LIST_DEPTH + 1), None if count > MAX_LIST_DEPTH else ids


def _marks(rows: QuerySet[Any], ordering: Ordering) -> Marks:
    """The keys of the first rows that are of the sample, `enough` of them at most."""
    sample = ordering.sample
    assert sample is not None
    keys = rows.filter(sample.rows).values_list(*(key.name for key in ordering.keys))
    return list(keys[: sample.enough])


def _first(
    rows: QuerySet[Any], ordering: Ordering, position: Sequence[Any] | None, wanted: int
) -> list[Any]:
    """The ids of the first rows behind a position, where far too many match to sort them all."""
    if ordering.split:
        return _first_of_parts(rows, ordering, position, wanted)
    ids = _walked(rows, ordering, position, wanted, WALK + WALK_A_ROW * wanted)
    return _marked_out(rows, ordering, position, wanted) if ids is None else ids


def _marked_out(
    rows: QuerySet[Any],
    ordering: Ordering,
    position: Sequence[Any] | None,
    wanted: int,
    marks: Marks | None = None,
) -> list[Any]:
    """The same where a walk does not meet them: among the rows up to a mark of the sample.

    Only where there is none all rows are gathered, which alone costs more the larger the table is.
    `marks` of the rows behind the position, where they are at hand.
    """
    behind = rows if position is None else rows.filter(ordering.after(position))
    if ordering.sample is not None and (position is None or position[0] is not None):
        if marks is None:
            marks = _marks(ordering.apply(behind), ordering)
        reach = ordering.sample.reaching(wanted)
        for mark in marks[reach :: reach + 1][:2]:
            if mark[0] is None:
                break
            ids = _up_to(rows, ordering, position, mark, wanted)
            if len(ids) == wanted:
                return ids
    return _gathered([behind], ordering, wanted)


def _up_to(
    rows: QuerySet[Any],
    ordering: Ordering,
    position: Sequence[Any] | None,
    mark: Sequence[Any],
    wanted: int,
) -> list[Any]:
    """The first ids behind a position and up to a mark."""
    spans, found, first = ordering.spans(position, mark), ordering.found, ordering.keys[0]
    start = None if position is None else position[0]
    ends = (mark[0], start) if first.descending else (start, mark[0])
    narrowed = found.ranging(first.name, *ends) if found else Q()
    if not found or not narrowed:
        return _gathered([rows.filter(span) for span in spans], ordering, wanted)
    within = found.rest.filter(reduce(or_, spans))
    statement, params = _seeing(found.by_index.filter(narrowed), _keys_of(within, ordering))
    return _sorted([statement], params, ordering, wanted, using=rows.db)


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

    Where the sample will tell, nobody looks whether these are all.
    """
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


def _seeing(ahead: QuerySet[Any], found: QuerySet[Any]) -> tuple[str, tuple[Any, ...]]:
    """The statement of `found`, as it is where the table holds no other rows than `ahead`.

    In a statement a WITH of the table's name hides it, and is planned like a subquery; OFFSET 0 keeps
    it apart. A subquery of its own on the same table would see no others either; no list here has one.
    """
    table, params = ahead.query.sql_with_params()
    statement, more = found.query.sql_with_params()
    name = connections[found.db].ops.quote_name(found.model._meta.db_table)
    return f"WITH {name} AS ({table} OFFSET 0) {statement}", (*params, *more)


def _gathered(some: Sequence[QuerySet[Any]], ordering: Ordering, wanted: int) -> list[Any]:
    """The first ids of all the rows of some querysets, which have none in common."""
    statements, params = [], list[Any]()
    for rows in some:
        with suppress(EmptyResultSet):
            statement, of_rows = _keys_of(rows, ordering).query.sql_with_params()
            statements.append(statement)
            params += of_rows
    return _sorted(statements, params, ordering, wanted, using=some[0].db)


def _sorted(
    statements: Sequence[str], params: Sequence[Any], ordering: Ordering, wanted: int, *, using: str
) -> list[Any]:
    """The first ids of all that some statements of `_keys_of` find."""
    if not statements:
        return []
    names, order = _as_sorted(ordering)
    found = " UNION ALL ".join(f"({statement})" for statement in statements)
    with connections[using].cursor() as cursor:
        # OFFSET 0 keeps the planner from walking the ordering's index in the hope to meet them soon.
        cursor.execute(
            f"SELECT pk FROM (({found}) OFFSET 0) AS found ({names})"  # noqa: S608 (as above)
            f" ORDER BY {order} LIMIT %s",
            [*params, wanted],
        )
        return [pk for (pk,) in cursor.fetchall()]
