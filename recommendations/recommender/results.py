"""What the engine answers, whichever formula made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, overload


@dataclass(frozen=True)
class Component:
    points: float
    weight: float
    evidence: list[str]


@dataclass(frozen=True)
class RatedMovie:
    id: int
    title: str


@dataclass(frozen=True)
class Counterfactual:
    """What the match score would be, had the member not rated one movie."""

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


Ranked = TypeVar("Ranked", Recommendation, SimilarMovie)
#: Says why the movies in these places are where they are.
Reasons = Callable[[Sequence[int]], list[list[str]]]


class Ranking(Sequence[Ranked]):
    """Movies, best first; one is put together, and why it is among them, when its page is shown."""

    def __init__(
        self, places: Sequence[int], movie: Callable[[int], Ranked], reasons: Reasons
    ) -> None:
        """`places` of the movies, first to last; `movie` gives the one in a place."""
        self._places = places
        self._movie: Callable[[int], Ranked] = movie
        self._reasons = reasons

    def bare(self, count: int) -> list[Ranked]:
        """The first so many without their reasons, which cost more than all the rest."""
        return [self._movie(place) for place in self._places[:count]]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Ranked: ...
    @overload
    def __getitem__(self, place: slice) -> list[Ranked]: ...
    def __getitem__(self, place: int | slice) -> Ranked | list[Ranked]:
        if isinstance(place, int):
            return self[place : place + 1 or None][0]
        page = self._places[place]
        told = self._reasons(page) if page else []
        return [
            replace(self._movie(each), reasons=reasons)
            for each, reasons in zip(page, told, strict=True)
        ]


Recommendations = Ranking[Recommendation]


def nothing() -> Ranking[Any]:
    """Of no movie."""
    return Ranking([], lambda place: Recommendation(place, 0.0), lambda places: [])


@dataclass(frozen=True)
class Diversity:
    """What `diversity` did to the first page of a feed; similarity is 0 to 1."""

    diversity: float
    #: Mean similarity of two movies of the first page as it is served.
    intra_list_similarity: float
    #: How many movies of the first page the plain order would have shown later.
    promoted_count: int


@dataclass(frozen=True)
class Feed:
    items: Recommendations
    strategy: str
    algorithm: str
    diversity: Diversity


@dataclass(frozen=True)
class AskedMovie:
    """A movie worth rating first."""

    movie_id: int
    reasons: list[str]
