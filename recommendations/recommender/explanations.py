"""What a score rests on, in sentences that name movies, genres and people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from psycopg.pq import Format

from nexus.core.db.raw_sql import prepared_rows
from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.heuristic import LIKED, Affinities, Array
from recommendations.selectors import COLUMNS, LEADS, MovieRow, PeerCounts

#: Names of the people two movies share: (movie, rated movie) -> names, directors first.
SharedNames = Mapping[tuple[int, int], list[str]]

# Below this two movies have too little in common to be named together.
MIN_LIKENESS = 0.25
MAX_REASONS = 3


@dataclass(frozen=True)
class Told:
    """A movie of the member's to be named, and what they said of it."""

    movie: MovieRow
    #: None where there is feedback alone.
    stars: float | None
    #: Whether the feedback asks for more like it.
    more: bool = False


def people_in_common(movies: Sequence[MovieRow], rated: Sequence[MovieRow]) -> SharedNames:
    """The people each movie shares with each rated one, in one query."""
    movie_ids, rated_ids = {row.id for row in movies}, {row.id for row in rated}
    billed = prepared_rows(_NAMES_SQL, [list(movie_ids | rated_ids), LEADS])
    return _shared(billed, movie_ids, rated_ids)


_NAMES_SQL = b"""
SELECT credit.movie_id, person.id, person.name
FROM movies_credit AS credit JOIN movies_person AS person ON person.id = credit.person_id
WHERE credit.movie_id = ANY(%s::bigint[]) AND credit.position < %s::int
ORDER BY credit.role DESC, credit.position
"""


def movies_with_names(
    movie_ids: Sequence[int], rated_ids: Sequence[int]
) -> tuple[dict[int, MovieRow], SharedNames]:
    """The movies of both lists by id, and the people they share, in one query."""
    rows: dict[int, MovieRow] = {}
    billed = []
    wanted = [LEADS, [*movie_ids, *rated_ids]]
    for *movie, person_id, name in prepared_rows(_BILLED_SQL, wanted, form=Format.BINARY):
        rows[movie[0]] = MovieRow(*movie)
        if person_id is not None:
            billed.append((movie[0], person_id, name))
    return rows, _shared(billed, set(movie_ids), set(rated_ids))


_BILLED_SQL = f"""
SELECT {", ".join(f"movie.{column}" for column in COLUMNS)}, person.id, person.name
FROM movies_movie AS movie
LEFT JOIN movies_credit AS credit ON credit.movie_id = movie.id AND credit.position < %s
LEFT JOIN movies_person AS person ON person.id = credit.person_id
WHERE movie.id = ANY(%s::bigint[])
ORDER BY credit.role DESC, credit.position
""".encode()  # noqa: S608 (column names of our own)


def _shared(
    billed: Iterable[tuple[int, int, str]], movie_ids: AbstractSet[int], rated_ids: AbstractSet[int]
) -> SharedNames:
    """Of (movie, person, name), directors first: who is in a movie of both."""
    of_person: dict[int, tuple[str, list[int]]] = {}
    for movie_id, person_id, name in billed:
        of_person.setdefault(person_id, (name, []))[1].append(movie_id)
    shared: dict[tuple[int, int], list[str]] = {}
    for name, credited_ids in of_person.values():
        for one in credited_ids:
            if one in movie_ids:
                for other in credited_ids:
                    if other in rated_ids and other != one:
                        names = shared.setdefault((one, other), [])
                        if name not in names:
                            names.append(name)
    return shared


def of_parts(
    *,
    row: MovieRow,
    rated: Sequence[MovieRow],
    stars: Array,
    affinities: Affinities,
    favorites: Array,
    generosity: float,
    likeness: Array,
    names: SharedNames,
    peers: PeerCounts,
) -> dict[str, list[str]]:
    """The evidence of each part of the score, most telling first."""
    return {
        "genre_affinity": of_genres(row, affinities, favorites),
        "rating_history": [
            *_of_movies(row, rated, stars, likeness, names),
            *_of_peers(peers),
            *of_generosity(len(rated), generosity),
        ],
        "popularity": of_votes(row),
    }


def because(*, points: Mapping[str, float], said: Mapping[str, list[str]]) -> list[str]:
    """The first evidence of each part, the part that moved the score most first."""
    order = sorted(points, key=lambda part: -abs(points[part]))
    return [said[part][0] for part in order if said[part]][:MAX_REASONS]


def reasons(
    *,
    row: MovieRow,
    rated: Sequence[MovieRow],
    stars: Array,
    favorites: Array,
    likeness: Array,
    peers: PeerCounts,
) -> list[str]:
    """Why a movie is in the feed, without a query."""
    liked = np.where(stars >= LIKED, likeness, 0.0) if len(rated) else likeness
    said = []
    if len(liked) and liked.max() >= MIN_LIKENESS:
        best = int(liked.argmax())
        said.append(f"Like {rated[best].title}, which you gave {_stars(stars[best])}.")
    said.extend(_of_peers(peers))
    said.extend(
        f"{name} is one of your favorite genres."
        for name in row.genres
        if favorites[GENRE_NAMES.index(name)]
    )
    said.extend(of_votes(row))
    return said[:MAX_REASONS]


def of_similarity(
    movie: MovieRow, target: MovieRow, names: SharedNames, taste: str, *, at_tmdb: bool
) -> list[str]:
    """Why one movie is like another; `taste` says it of who likes them, or is empty.

    `at_tmdb`: TMDb names it beside the other.
    """
    said = []
    if people := names.get((movie.id, target.id)):
        said.append(f"Both with {_listed(people[:3])}.")
    if taste:
        said.append(taste)
    if genres := [name for name in movie.genres if name in target.genres]:
        said.append(f"Shared {_genres(genres)}.")
    if at_tmdb:
        said.append("TMDb lists them side by side.")
    return said


def of_feed(row: MovieRow, speaking: Sequence[Told], favorites: Array) -> list[str]:
    """Why a movie is in the trained feed; `speaking`: what of the member's movies speaks for it."""
    said = []
    liked = [each for each in speaking if each.stars is not None and each.stars >= LIKED]
    asked = [each.movie.title for each in speaking if each.stars is None and each.more]
    if len(liked) == 1:
        said.append(_rated(liked[0]) + ".")
    elif liked:
        said.append(f"You liked {_listed([each.movie.title for each in liked])}.")
    if asked:
        said.append(f"You asked for more like {_listed(asked)}.")
    if speaking and not said:
        # Nobody is told that a movie is for them because they did not like another.
        said.append(f"Often liked by those who have rated {speaking[0].movie.title}, as you have.")
    said.extend(
        f"{name} is one of your favorite genres."
        for name in row.genres
        if favorites[GENRE_NAMES.index(name)]
    )
    said.extend(of_votes(row))
    return said[:MAX_REASONS]


def of_movies(row: MovieRow, told: Sequence[Told], names: SharedNames) -> list[str]:
    """The member's movies that moved a score most, with what they share with its movie."""
    return [f"{_rated(each)}{_in_common(row, each.movie, names)}." for each in told]


def of_genres(row: MovieRow, affinities: Affinities, favorites: Array) -> list[str]:
    columns = [GENRE_NAMES.index(name) for name in row.genres]
    columns.sort(key=lambda column: -abs(affinities.genre[column]))
    said = []
    for column in columns:
        name, count = GENRE_NAMES[column], int(affinities.counts[column])
        if count:
            mean = affinities.mean_stars[column]
            above = affinities.genre[column]
            # Held against what others give these movies and the member gives any.
            tone = "about as expected"
            if abs(above) >= 0.05:
                tone = "more than expected" if above > 0 else "less than expected"
            if count == 1:
                said.append(f"You gave the one {name} movie you rated {_stars(mean)}, {tone}.")
            else:
                said.append(f"You gave {count} {name} movies {mean:.1f} stars on average, {tone}.")
        if favorites[column]:
            said.append(f"{name} is one of your favorite genres.")
    return said[:MAX_REASONS]


def _of_movies(
    row: MovieRow, rated: Sequence[MovieRow], stars: Array, likeness: Array, names: SharedNames
) -> list[str]:
    said = []
    for index in np.argsort(-likeness, kind="stable")[:MAX_REASONS]:
        if likeness[index] < MIN_LIKENESS:
            break
        other = rated[int(index)]
        told = Told(other, float(stars[index]))
        said.append(f"{_rated(told)}{_in_common(row, other, names)}.")
    return said


def _of_peers(peers: PeerCounts) -> list[str]:
    if not peers.rated:
        return []
    if peers.rated == 1:
        liked = "liked" if peers.liked else "did not like"
        return [f"The one member with your taste who rated it {liked} it."]
    return [f"{peers.liked} of {peers.rated} members with your taste who rated it liked it."]


def of_generosity(n: int, generosity: float) -> list[str]:
    if not n or abs(generosity) < 0.05:
        return []
    more = "more" if generosity > 0 else "fewer"
    return [f"You like {more} of the movies you rate than most members do."]


def of_votes(row: MovieRow) -> list[str]:
    votes = row.rating_count + row.vote_count
    if not votes:
        return ["Nobody has rated it yet."]
    people = "vote" if votes == 1 else "votes"
    return [f"Weighted rating {row.weighted_rating:.1f} of 10 from {votes:,} {people}."]


def _rated(told: Told) -> str:
    """What the member said of a movie, without a full stop."""
    if told.stars is None:
        return f"You asked for {'more' if told.more else 'less'} like {told.movie.title}"
    return f"You gave {told.movie.title} {_stars(told.stars)}"


def _in_common(row: MovieRow, other: MovieRow, names: SharedNames) -> str:
    """People and genres of both movies, to follow what was said of the other; or nothing."""
    people = names.get((row.id, other.id), [])[:2]
    genres = [name for name in row.genres if name in other.genres]
    told = [f"both with {_listed(people)}"] if people else []
    told += [f"shared {_genres(genres)}"] if genres else []
    return f" ({'; '.join(told)})" if told else ""


def _genres(names: Sequence[str]) -> str:
    return f"{'genre' if len(names) == 1 else 'genres'}: {_listed(names)}"


def _stars(value: float) -> str:
    return "1 star" if value == 1 else f"{value:g} stars"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
