"""What a score rests on, in sentences that name films, genres and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from movies.models import Credit
from nexus.core.genres import GENRE_NAMES
from recommendations.scoring import LIKED, Affinities, Array
from recommendations.selectors import LEADS, FilmRow, PeerCounts

#: Names of the people two films share: (film, rated film) -> names, directors first.
SharedNames = Mapping[tuple[int, int], list[str]]

# Below this two films have too little in common to be named together.
MIN_LIKENESS = 0.25
MAX_REASONS = 3


def people_in_common(films: Sequence[FilmRow], rated: Sequence[FilmRow]) -> SharedNames:
    """The people each film shares with each rated one, in one query."""
    film_ids, rated_ids = {row.id for row in films}, {row.id for row in rated}
    billed = (
        Credit.objects.filter(movie__any=film_ids | rated_ids, position__lt=LEADS)
        .order_by("-role", "position")
        .values_list("movie_id", "person_id", "person__name")
    )
    of_person: dict[int, tuple[str, list[int]]] = {}
    for movie_id, person_id, name in billed:
        of_person.setdefault(person_id, (name, []))[1].append(movie_id)
    shared: dict[tuple[int, int], list[str]] = {}
    for name, movie_ids in of_person.values():
        for one in movie_ids:
            if one in film_ids:
                for other in movie_ids:
                    if other in rated_ids and other != one:
                        names = shared.setdefault((one, other), [])
                        if name not in names:
                            names.append(name)
    return shared


def of_parts(
    *,
    row: FilmRow,
    rated: Sequence[FilmRow],
    stars: Array,
    affinities: Affinities,
    favourites: Array,
    generosity: float,
    likeness: Array,
    names: SharedNames,
    peers: PeerCounts,
) -> dict[str, list[str]]:
    """The evidence of each part of the score, most telling first."""
    return {
        "genre_affinity": _of_genres(row, affinities, favourites),
        "rating_history": [
            *_of_films(row, rated, stars, likeness, names),
            *_of_peers(peers),
            *_of_generosity(len(rated), generosity),
        ],
        "popularity": _of_votes(row),
    }


def because(*, points: Mapping[str, float], said: Mapping[str, list[str]]) -> list[str]:
    """The first evidence of each part, the part that moved the score most first."""
    order = sorted(points, key=lambda part: -abs(points[part]))
    return [said[part][0] for part in order if said[part]][:MAX_REASONS]


def reasons(
    *,
    row: FilmRow,
    rated: Sequence[FilmRow],
    stars: Array,
    favourites: Array,
    likeness: Array,
    peers: PeerCounts,
) -> list[str]:
    """Why a film is in the feed, without a query."""
    liked = np.where(stars >= LIKED, likeness, 0.0) if len(rated) else likeness
    said = []
    if len(liked) and liked.max() >= MIN_LIKENESS:
        best = int(liked.argmax())
        said.append(f"Like {rated[best].title}, which you gave {_stars(stars[best])}.")
    said.extend(_of_peers(peers))
    said.extend(
        f"{name} is one of your favourite genres."
        for name in row.genres
        if favourites[GENRE_NAMES.index(name)]
    )
    said.extend(_of_votes(row))
    return said[:MAX_REASONS]


def of_similarity(
    film: FilmRow, target: FilmRow, names: SharedNames, together: int, *, at_tmdb: bool
) -> list[str]:
    """Why one film is like another; `at_tmdb`: TMDb names it beside the other."""
    said = []
    if people := names.get((film.id, target.id)):
        said.append(f"Both with {_listed(people[:3])}.")
    if together:
        people_word = "member" if together == 1 else "members"
        said.append(f"{together} {people_word} liked both.")
    if genres := [name for name in film.genres if name in target.genres]:
        said.append(f"Both {_listed(genres)}.")
    if at_tmdb:
        said.append("TMDb lists them side by side.")
    return said


def _of_genres(row: FilmRow, affinities: Affinities, favourites: Array) -> list[str]:
    columns = [GENRE_NAMES.index(name) for name in row.genres]
    columns.sort(key=lambda column: -abs(affinities.genre[column]))
    said = []
    for column in columns:
        name, count = GENRE_NAMES[column], int(affinities.counts[column])
        if count:
            films = "film" if count == 1 else "films"
            mean = affinities.mean_stars[column]
            above = affinities.genre[column]
            tone = "about what you give others"
            if abs(above) >= 0.05:
                tone = "more than you give others" if above > 0 else "less than you give others"
            said.append(f"You gave {count} {name} {films} {mean:.1f} stars on average, {tone}.")
        if favourites[column]:
            said.append(f"{name} is one of your favourite genres.")
    return said[:MAX_REASONS]


def _of_films(
    row: FilmRow, rated: Sequence[FilmRow], stars: Array, likeness: Array, names: SharedNames
) -> list[str]:
    said = []
    for index in np.argsort(-likeness, kind="stable")[:MAX_REASONS]:
        if likeness[index] < MIN_LIKENESS:
            break
        other = rated[int(index)]
        common = names.get((row.id, other.id), [])[:2]
        common += [name for name in row.genres if name in other.genres]
        shared = f"; both {_listed(common)}" if common else ""
        said.append(f"You gave {other.title} {_stars(stars[index])}{shared}.")
    return said


def _of_peers(peers: PeerCounts) -> list[str]:
    if not peers.rated:
        return []
    return [f"{peers.liked} of {peers.rated} members with your taste who rated it liked it."]


def _of_generosity(n: int, generosity: float) -> list[str]:
    if not n or abs(generosity) < 0.05:
        return []
    more = "more" if generosity > 0 else "fewer"
    return [f"You like {more} of the films you rate than most members do."]


def _of_votes(row: FilmRow) -> list[str]:
    votes = row.rating_count + row.vote_count
    if not votes:
        return ["Nobody has rated it yet."]
    people = "vote" if votes == 1 else "votes"
    return [f"Weighted rating {row.weighted_rating:.1f} of 10 from {votes} {people}."]


def _stars(value: float) -> str:
    return "1 star" if value == 1 else f"{value:g} stars"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
