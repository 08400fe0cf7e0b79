"""Reasons and evidence in sentences that name movies, genres and people.

A reason has a direction. A movie the member disliked never speaks for another one, and a liked one never
against it. What speaks against a recommended movie follows after "although".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

import numpy as np

from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.match_score import GENRE_SHRINKAGE, residuals
from recommendations.algorithms.similarity import kinship
from recommendations.algorithms.types import LIKED, Array, History, Movies
from recommendations.recommender.queries import Member, MovieRow

#: Names of the people two movies share: (movie, rated movie) -> names, directors first.
SharedNames = Mapping[tuple[int, int], list[str]]
#: (movie, person, name) of a credit.
CreditRow = tuple[int, int, str]

MAX_REASONS = 3
#: A movie with fewer stars was disliked, whatever the member's mean.
MIN_LIKED_STARS = 3.0
#: Deviations from the expected stars that are too small to be mentioned.
MIN_DEVIATION = 0.05
#: Movies that are less similar by genres and period have too little in common to be named together.
MIN_SIMILARITY = 0.25
LIKED_TOGETHER = "Members who like one tend to like the other."

Item = TypeVar("Item")


class ExplainedList(Sequence[Item], ABC, Generic[Item]):
    """Movies, best first. A page is read and explained when it is taken, as a slice."""

    def __init__(self, indices: Sequence[int]) -> None:
        """`indices` of the movies, first to last."""
        self._indices = indices

    @abstractmethod
    def build(self, index: int) -> Item:
        """Return the item of a movie without its reasons, which cost more than all the rest."""

    @abstractmethod
    def explain(self, indices: Sequence[int]) -> list[Item]:
        """Return the items of these movies with reasons; those that are deleted meanwhile are left out."""

    def without_reasons(self, count: int) -> list[Item]:
        return [self.build(index) for index in self._indices[:count]]

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
        return self.explain(page) if page else []


@dataclass(frozen=True)
class Opinion:
    """A movie of the member's history and what they said about it."""

    movie: MovieRow
    #: None for feedback without a rating.
    stars: float | None
    #: Whether the feedback asks for more like it.
    more: bool = False


@dataclass(frozen=True)
class GenreAffinities:
    """(g,) each: how a member rates the movies of each genre."""

    above_expectation: Array  # stars, shrunk
    counts: Array  # rated movies
    mean_stars: Array


# --- What can be said of a member -----------------------------------------------------------------


def find_supporting(history: History) -> Array:
    """(n,) Return which movies can be a reason for another one: liked, or more was asked for."""
    rated = history.rated
    mean = float(history.stars[rated].mean()) if rated.any() else 0.0
    liked = (history.stars >= MIN_LIKED_STARS) & (history.stars >= mean - 1e-9)
    supporting: Array = np.where(rated, liked, history.wants > 0)
    return supporting


def find_similarities(history: History, movie: Movies) -> Array:
    """(n,) Return the similarity of one movie by genres and period to each other movie of the history.

    It is 0 below MIN_SIMILARITY.
    """
    similarity = kinship(movie, history.movies)[0]
    is_similar = (similarity >= MIN_SIMILARITY) & (history.movies.ids != movie.ids[0])
    return np.where(is_similar, similarity, 0.0)


def compute_affinities(member: Member) -> GenreAffinities:
    """Return how far above expectation the member rates the movies of each genre."""
    history, rated = member.history, member.history.rated
    genres = history.movies.genres[rated].astype(np.float64)
    residual = residuals(history, member.header.totals)[rated]
    counts = genres.sum(axis=0)
    return GenreAffinities(
        above_expectation=residual @ genres / (counts + GENRE_SHRINKAGE),
        counts=counts,
        mean_stars=history.stars[rated] @ genres / np.maximum(counts, 1),
    )


def get_opinion(member: Member, index: int, rows: Mapping[int, MovieRow]) -> Opinion | None:
    """Return what the member said about a movie of their history; None if `rows` does not have it."""
    history = member.history
    row = rows.get(int(history.movies.ids[index]))
    if row is None:
        return None
    stars = float(history.stars[index]) if history.rated[index] else None
    return Opinion(row, stars, more=bool(history.wants[index] > 0))


def match_people(
    credited: Iterable[CreditRow], movie_ids: AbstractSet[int], rated_ids: AbstractSet[int]
) -> SharedNames:
    """Return who is in a movie of both sets; `credited` are in the sequence of the names."""
    by_person: dict[int, tuple[str, list[int]]] = {}
    for movie_id, person_id, name in credited:
        by_person.setdefault(person_id, (name, []))[1].append(movie_id)
    shared: dict[tuple[int, int], list[str]] = {}
    for name, credited_ids in by_person.values():
        for movie_id in movie_ids & set(credited_ids):
            for rated_id in credited_ids:
                if rated_id in rated_ids and rated_id != movie_id:
                    names = shared.setdefault((movie_id, rated_id), [])
                    if name not in names:
                        names.append(name)
    return shared


# --- The feed ------------------------------------------------------------------------------------


def explain_recommendation(
    row: MovieRow,
    *,
    support: Sequence[Opinion],
    objection: Opinion | None,
    affinities: GenreAffinities,
    favorites: Array,
) -> list[str]:
    """Return why a movie is in the feed, at least one reason.

    `support` are the liked movies that add most to its order, most first. `objection` is the
    disliked movie that takes most from its score.
    """
    reasons = []
    liked = [each for each in support if each.stars is not None]
    enjoyed = [each.movie["title"] for each in liked if (each.stars or 0) >= LIKED]
    requested = [each.movie["title"] for each in support if each.stars is None]
    if len(enjoyed) > 1:
        reasons.append(_end(f"You liked {_join(enjoyed)}"))
    elif liked:
        best = next((each for each in liked if each.movie["title"] in enjoyed), liked[0])
        reasons.append(f"You gave {best.movie['title']} {_format_stars(best.stars)}.")
    if requested:
        reasons.append(_end(f"You asked for more like {_join(requested)}"))
    for column in _genre_columns(row, affinities):
        if not reasons and affinities.above_expectation[column] >= MIN_DEVIATION:
            reasons.append(_describe_genre(column, affinities) + ".")
    reasons.extend(_name_favorites(row, favorites))
    reasons.append(describe_votes(row))
    if objection is not None:
        said = _uncapitalize(_say(objection))
        reasons[0] = _end(f"{reasons[0].removesuffix('.')}, although {said}")
    return reasons[:MAX_REASONS]


def explain_to_group(
    row: MovieRow, *, titles: Sequence[str], is_supported: bool, genres: AbstractSet[str]
) -> list[str]:
    """Return why a movie is recommended to a group, at least one reason.

    `titles` are movies that all members liked and that speak for this one; if they may not be named
    there are none, and `is_supported` says that there are such movies. `genres` are liked by all.
    """
    reasons = []
    if titles:
        reasons.append(_end(f"All of you liked {_join(titles)}"))
    elif is_supported:
        reasons.append("It is close to movies that all of you liked.")
    if shared := [name for name in row["genres"] if name in genres]:
        reasons.append(_end(f"All of you like {_join(shared)}"))
    reasons.append(describe_votes(row))
    return reasons[:MAX_REASONS]


# --- The match score -----------------------------------------------------------------------------


def summarize(*, points: Mapping[str, float], evidence: Mapping[str, list[str]]) -> list[str]:
    """Return the first evidence of each part, the part that moved the score most first."""
    parts = sorted(points, key=lambda part: -abs(points[part]))
    return [evidence[part][0] for part in parts if evidence[part]][:MAX_REASONS]


def describe_opinions(
    row: MovieRow, support: Sequence[Opinion], objections: Sequence[Opinion], names: SharedNames
) -> list[str]:
    """Return the member's movies that moved a score most, with what they share with its movie."""
    return [
        *(_end(f"{_say(each)}{_in_common(row, each.movie, names)}") for each in support),
        *(
            _end(f"Although {_uncapitalize(_say(each))}{_in_common(row, each.movie, names)}")
            for each in objections
        ),
    ]


def describe_genres(row: MovieRow, affinities: GenreAffinities, favorites: Array) -> list[str]:
    """Return how the member rates the movie's genres, compared with the expectation for these movies."""
    evidence = []
    for column in _genre_columns(row, affinities):
        above = affinities.above_expectation[column]
        comparison = "about as expected"
        if abs(above) >= MIN_DEVIATION:
            comparison = "more than expected" if above > 0 else "less than expected"
        if affinities.counts[column]:
            evidence.append(f"{_describe_genre(column, affinities)}, {comparison}.")
        if favorites[column]:
            evidence.append(f"{GENRE_NAMES[column]} is one of your favorite genres.")
    return evidence[:MAX_REASONS]


def describe_generosity(n: int, generosity: float) -> list[str]:
    if not n or abs(generosity) < MIN_DEVIATION:
        return []
    more = "more" if generosity > 0 else "fewer"
    return [f"You like {more} of the movies you rate than most members do."]


def describe_votes(row: MovieRow) -> str:
    votes = row["rating_count"] + row["vote_count"]
    if not votes:
        return "Nobody has rated it yet."
    noun = "vote" if votes == 1 else "votes"
    return f"Weighted rating {row['weighted_rating']:.1f} of 10 from {votes:,} {noun}."


# --- Similar movies ------------------------------------------------------------------------------


def explain_similarity(
    movie: MovieRow,
    target: MovieRow,
    names: SharedNames,
    *,
    is_liked_together: bool,
    is_listed_at_tmdb: bool,
) -> list[str]:
    """Return why a movie is similar to the target."""
    reasons = []
    if people := names.get((movie["id"], target["id"])):
        reasons.append(_end(f"Both with {_join(people[:3])}"))
    if is_liked_together:
        reasons.append(LIKED_TOGETHER)
    if genres := [name for name in movie["genres"] if name in target["genres"]]:
        reasons.append(f"Shared {_name_genres(genres)}.")
    if is_listed_at_tmdb:
        reasons.append("TMDb lists them side by side.")
    return reasons


# --- Words ---------------------------------------------------------------------------------------


def _say(opinion: Opinion) -> str:
    """Return what the member said about a movie, without a full stop."""
    if opinion.stars is None:
        return f"You asked for {'more' if opinion.more else 'less'} like {opinion.movie['title']}"
    return f"You gave {opinion.movie['title']} {_format_stars(opinion.stars)}"


def _in_common(row: MovieRow, other: MovieRow, names: SharedNames) -> str:
    """Return the people and genres of both movies in parentheses, or nothing."""
    people = names.get((row["id"], other["id"]), [])[:2]
    genres = [name for name in row["genres"] if name in other["genres"]]
    shared = [f"both with {_join(people)}"] if people else []
    shared += [f"shared {_name_genres(genres)}"] if genres else []
    return f" ({'; '.join(shared)})" if shared else ""


def _genre_columns(row: MovieRow, affinities: GenreAffinities) -> list[int]:
    """Return the columns of a movie's genres, the greatest deviation from the expectation first."""
    columns = [GENRE_NAMES.index(name) for name in row["genres"] if name in GENRE_NAMES]
    return sorted(columns, key=lambda column: -abs(affinities.above_expectation[column]))


def _describe_genre(column: int, affinities: GenreAffinities) -> str:
    name, count = GENRE_NAMES[column], int(affinities.counts[column])
    mean = float(affinities.mean_stars[column])
    if count == 1:
        return f"You gave the one {name} movie you rated {_format_stars(mean)}"
    return f"You gave {count} {name} movies {mean:.1f} stars on average"


def _name_favorites(row: MovieRow, favorites: Array) -> list[str]:
    return [
        f"{name} is one of your favorite genres."
        for name in row["genres"]
        if name in GENRE_NAMES and favorites[GENRE_NAMES.index(name)]
    ]


def _end(sentence: str) -> str:
    """Return the sentence with a full stop, of which titles and names may have brought one."""
    return sentence if sentence.endswith(".") else f"{sentence}."


def _uncapitalize(text: str) -> str:
    return text[0].lower() + text[1:]


def _name_genres(names: Sequence[str]) -> str:
    return f"{'genre' if len(names) == 1 else 'genres'}: {_join(names)}"


def _format_stars(value: float | None) -> str:
    return "1 star" if value == 1 else f"{value:g} stars"


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
