"""Pages of a list, at a cost that does not grow with the length of the list.

A page costs two queries:

1. `count_up_to` counts the matching rows and stops at one more than MAX_LIST_DEPTH (10,000).
2. `fetch_page` reads the page. If at most 10,000 rows match, they are found by the filters and
   sorted. If more match, the index of the ordering is walked, and the filters are checked on the
   way: among so many matches a page is met soon.

`nexus.core.api.pagination` turns the page into the response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import F, Model, Q, QuerySet
from django.db.models.functions import Greatest

MAX_LIST_DEPTH = 10_000


@dataclass(frozen=True)
class Key:
    """One column of an ordering. Nulls come last, whether it is ascending or descending."""

    name: str
    descending: bool = False
    nullable: bool = False

    @property
    def indexed_order(self) -> Any:
        """The ORDER BY expression of the index: one index serves both directions.

        The index of a nullable column is descending with the nulls last.
        """
        nulls = {}
        if self.nullable:
            nulls = {"nulls_last": True} if self.descending else {"nulls_first": True}
        return F(self.name).desc(**nulls) if self.descending else F(self.name).asc(**nulls)

    @property
    def unindexed_order(self) -> Any:
        """The ORDER BY expression that no index serves, so that PostgreSQL must sort.

        With a LIMIT it would prefer to walk an index, which takes long if few rows match.
        """
        column = hide_from_indexes(self.name)
        return column.desc(nulls_last=True) if self.descending else column.asc(nulls_last=True)


@dataclass(frozen=True)
class Range:
    """Consecutive rows of a list: the rows that meet a condition, in the order of the keys."""

    where: Q
    keys: tuple[Key, ...]
    #: Whether the rows are so few that finding and sorting them is faster than walking the index.
    is_sorted: bool = False


@dataclass(frozen=True)
class Ordering:
    """The keys a list is sorted by. The last one is unique, so that pages never repeat a row.

    Only the first key may be nullable.
    """

    keys: tuple[Key, ...]
    #: Set if the first key is an annotation, which no index contains: for n conditions it is n for the
    #: rows that meet the first one, 1 for those that meet only the last one, and 0 for all others.
    #: Few rows meet any of them.
    leading_conditions: tuple[Q, ...] = ()

    def get_position(self, row: Any) -> list[Any]:
        """Return the values of the keys in a row, an instance or a dict, as JSON values."""
        values = (
            getattr(row, key.name) if isinstance(row, Model) else row[key.name] for key in self.keys
        )
        return [to_json(value) for value in values]

    def get_ranges(self) -> list[Range]:
        """Return the whole list as ranges, each of which an index contains in this order."""
        first, *others = self.keys
        if self.leading_conditions:
            leading, rest = [], Q()
            for condition in self.leading_conditions:
                leading.append(Range(rest & condition, tuple(others), is_sorted=True))
                rest &= ~condition
            return [*leading, Range(rest, tuple(others))]
        if first.nullable:
            null = Q(**{f"{first.name}__isnull": True})
            return [Range(~null, self.keys), Range(null, tuple(others))]
        return [Range(Q(), self.keys)]

    def get_ranges_after(self, position: Sequence[Any]) -> list[Range]:
        """Return the rows after a position as ranges."""
        ranges = self.get_ranges()
        if self.leading_conditions:
            # The rank in a cursor may be any number.
            ranges = ranges[len(ranges) - 1 - max(0, min(int(position[0]), len(ranges) - 1)) :]
        elif self.keys[0].nullable:
            ranges = ranges[position[0] is None :]
        keys = ranges[0].keys
        after = _build_condition_after(keys, position[len(position) - len(keys) :])
        return [replace(ranges[0], where=ranges[0].where & after), *ranges[1:]]


def hide_from_indexes(column: str) -> Greatest:
    """Return an expression with the value of a column that no index serves."""
    return Greatest(F(column), F(column))


def count_up_to(queryset: QuerySet[Any], limit: int) -> int:
    """Count the rows and stop at the limit."""
    return queryset.order_by().values("pk")[:limit].count()


def fetch_page(
    queryset: QuerySet[Any],
    ordering: Ordering,
    *,
    count: int,
    size: int,
    start: int = 0,
    position: Sequence[Any] | None = None,
) -> list[Any]:
    """Return at most `size` rows, from `start` on or after a position.

    `count` is the number of rows of the queryset as counted up to MAX_LIST_DEPTH + 1.
    """
    ranges = ordering.get_ranges() if position is None else ordering.get_ranges_after(position)
    # Without filters every row of the index matches, so the index is walked however few there are.
    if count <= MAX_LIST_DEPTH and queryset.query.where:
        if position is not None:
            queryset = queryset.filter(reduce(or_, (part.where for part in ranges)))
        if count == 0:
            return []
        return _fetch(queryset, [key.unindexed_order for key in ordering.keys], start, size)
    rows: list[Any] = []
    for part in ranges:
        rows_of_part = queryset.filter(part.where)
        order = [key.unindexed_order if part.is_sorted else key.indexed_order for key in part.keys]
        rows += _fetch(rows_of_part, order, start, size - len(rows))
        if len(rows) == size:
            break
        if start:
            # The page begins in this range or a later one: skip fewer rows there.
            start -= count_up_to(rows_of_part, start)
    return rows


def _fetch(queryset: QuerySet[Any], order: list[Any], start: int, size: int) -> list[Any]:
    # The inner query reads only keys and filtered columns, so that an index may suffice.
    page = queryset.order_by(*order).values("pk")[start : start + size]
    return list(queryset.filter(pk__in=page).order_by(*order))


def _build_condition_after(keys: Sequence[Key], position: Sequence[Any]) -> Q:
    """Return the condition for rows after a position. Neither keys nor position are null."""
    (first, *others), (value, *rest) = keys, position
    beyond = "lt" if first.descending else "gt"
    after = Q(**{f"{first.name}__{beyond}": value})
    if others:
        # The condition on the first key alone is a range of the index.
        tied = Q(**{first.name: value}) & _build_condition_after(others, rest)
        after = Q(**{f"{first.name}__{beyond}e": value}) & (after | tied)
    return after


def to_json(value: Any) -> Any:
    """Return the value of a column as JSON data, as a cursor contains it."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
