"""In which order a list stands, and what is known of its rows before they are looked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Model, Q, QuerySet

from nexus.core.api.query_params import MAX_DEPTH


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

    With an index of its own it tells in a millisecond whether more rows than MAX_DEPTH match
    whatever is asked, and how far along an ordering a page of them reaches. For lists of one table,
    joined to no other.
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
    #: What that index has on a column (its name) lying between two values, either of which may be open.
    ranging: Callable[[str, Any, Any], Q]


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
