"""What the recommender returns to views and commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, overload

from recommendations.algorithms.ranking import DiversityReport


@dataclass(frozen=True)
class Component:
    """One part of a match score."""

    points: float
    weight: float
    evidence: list[str]


@dataclass(frozen=True)
class RatedMovie:
    id: int
    title: str


@dataclass(frozen=True)
class Counterfactual:
    """The match score as it would be without one rating of the member."""

    movie: RatedMovie
    your_score: float
    match_score_without: float


@dataclass(frozen=True)
class Match:
    """One movie's score for one member; baseline and points add up to `match_score`."""

    movie_id: int
    title: str
    match_score: float
    confidence: float
    baseline: float
    components: dict[str, Component]
    because: list[str]
    counterfactuals: list[Counterfactual]
    algorithm: str


@dataclass(frozen=True)
class Recommendation:
    movie_id: int
    match_score: float
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SimilarMovie:
    movie_id: int
    similarity: float
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class MemberScore:
    """The match score of a movie for one member of a group."""

    username: str
    match_score: float


@dataclass(frozen=True)
class GroupRecommendation:
    """A movie for a group; `group_score` is the probability in percent that all like it."""

    movie_id: int
    group_score: float
    members: list[MemberScore]
    reasons: list[str] = field(default_factory=list)


Item = TypeVar("Item", Recommendation, SimilarMovie, GroupRecommendation)
#: Returns the reasons for the movies at these indices.
ExplainItems = Callable[[Sequence[int]], list[list[str]]]


class RankedList(Sequence[Item]):
    """Movies, best first. Items are built, and explained, when their page is read."""

    def __init__(
        self, indices: Sequence[int], build: Callable[[int], Item], explain: ExplainItems
    ) -> None:
        """`indices` of the movies, first to last; `build` returns the item at one of them."""
        self._indices = indices
        self._build: Callable[[int], Item] = build
        self._explain = explain

    @classmethod
    def empty(cls) -> RankedList[Any]:
        return RankedList([], lambda index: Recommendation(index, 0.0), lambda indices: [])

    def without_reasons(self, count: int) -> list[Item]:
        """Return the first items without their reasons, which cost more than all the rest."""
        return [self._build(index) for index in self._indices[:count]]

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, position: int) -> Item: ...
    @overload
    def __getitem__(self, position: slice) -> list[Item]: ...
    def __getitem__(self, position: int | slice) -> Item | list[Item]:
        if isinstance(position, int):
            return self[position : position + 1 or None][0]
        page = self._indices[position]
        explanations = self._explain(page) if page else []
        return [
            replace(self._build(index), reasons=reasons)
            for index, reasons in zip(page, explanations, strict=True)
        ]


@dataclass(frozen=True)
class Feed:
    items: RankedList[Recommendation]
    strategy: str
    algorithm: str
    diversity: DiversityReport


@dataclass(frozen=True)
class OnboardingMovie:
    """A movie worth rating first."""

    movie_id: int
    reasons: list[str]


@dataclass(frozen=True)
class GroupFeed:
    items: RankedList[GroupRecommendation]
    strategy: str
    algorithm: str
