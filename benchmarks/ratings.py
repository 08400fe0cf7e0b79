"""Made-up ratings of any size, in MovieLens's format: `python -m benchmarks.ratings DIR --members 6040 ...`.

What a recommender's cost and quality hang on is there: long tails of films and of members, tastes
that follow genres, periods and something no genre tells, quality that goes with being seen, members
who rate highly and members who do not, and noise. The same numbers and seed give the same files.
Nobody's ratings are in them, and the films do not exist.

The defaults have MovieLens 1M's size, and were set until the baselines measured about what they do
there: nDCG@10 of popularity .19 and item-kNN .35 (there .17 and .33), AUC of a film's mean .73.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: MovieLens's genres and about how often a film has each.
GENRES = {
    "Drama": 0.40,
    "Comedy": 0.31,
    "Action": 0.13,
    "Thriller": 0.13,
    "Romance": 0.12,
    "Horror": 0.09,
    "Adventure": 0.08,
    "Sci-Fi": 0.07,
    "Children": 0.06,
    "Crime": 0.05,
    "Documentary": 0.04,
    "War": 0.04,
    "Animation": 0.03,
    "Musical": 0.03,
    "Mystery": 0.03,
    "Fantasy": 0.02,
    "Western": 0.02,
    "Film-Noir": 0.01,
}
#: The dimensions of taste, and how many kinds of viewer there are to be a mixture of.
TASTE_DIMENSIONS = 8
THEMES = 240
THEMES_PER_MEMBER = 5
#: How much a theme prefers its films: the standard deviation of log odds over films.
THEME_STRENGTH = 2.5
POPULARITY_SPREAD = 1.7
FEWEST_RATINGS = 20
ACTIVITY_SPREAD = 1.05
#: No member has rated more of the films than this part.
MOST_OF_FILMS = 0.6
#: Standard deviations of what makes a rating, in stars.
MEAN_STARS, QUALITY, GENEROSITY, TASTE, NOISE = 3.62, 0.62, 0.46, 0.52, 0.78
#: Ratings drawn at once; bounds the memory.
AT_ONCE = 500_000
FIRST_DAY_S, DAYS = 1_000_000_000, 5_000
DAY_S = 86_400

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class World:
    """The films, and the kinds of viewer."""

    genres: NDArray[np.bool_]  # (films, genres)
    years: Ints  # (films,)
    quality: Floats  # (films,), stars above the mean
    traits: Floats  # (films, dimensions)
    themes: Floats  # (themes, dimensions)
    reach: Floats  # (themes, films), cumulative chances of being watched


@dataclass(frozen=True)
class Block:
    """Ratings of some members: parallel arrays, members in order; stars in halves."""

    members: Ints
    films: Ints
    stars: Floats
    times_s: Ints


def world(films: int, rng: np.random.Generator) -> World:
    chances = np.array(list(GENRES.values()))
    genres = rng.random((films, len(chances))) < chances
    bare = np.flatnonzero(~genres.any(axis=1))
    genres[bare, rng.choice(len(chances), len(bare), p=chances / chances.sum())] = True
    years = 2015 - np.minimum(rng.exponential(16, films), 90).astype(np.int64)
    # A third of a film's character is its genres, some its period, the rest its own.
    of_genre = rng.normal(size=(len(chances), TASTE_DIMENSIONS))
    traits = genres @ of_genre / np.sqrt(genres.sum(axis=1, keepdims=True))
    period = np.outer((years - years.mean()) / years.std(), rng.normal(size=TASTE_DIMENSIONS))
    own = rng.normal(size=(films, TASTE_DIMENSIONS))
    traits = 0.60 * traits + 0.35 * period + 0.72 * own
    traits -= traits.mean(axis=0)
    traits /= np.sqrt((traits**2).sum(axis=1).mean())
    quality = rng.normal(size=films)
    known = POPULARITY_SPREAD * rng.normal(size=films) + 0.75 * quality
    themes = rng.normal(size=(THEMES, TASTE_DIMENSIONS))
    odds = known + THEME_STRENGTH * themes @ traits.T
    chance = np.exp(odds - odds.max(axis=1, keepdims=True))
    reach = np.cumsum(chance / chance.sum(axis=1, keepdims=True), axis=1)
    return World(genres, years, QUALITY * quality, traits, themes, reach)


def activity(members: int, films: int, ratings: int, rng: np.random.Generator) -> Ints:
    """(members,) how many ratings each gives, adding up to `ratings`.

    Raises ValueError where so many members cannot give so many ratings of so many films.
    """
    fewest = min(FEWEST_RATINGS, ratings // members)
    most = int(MOST_OF_FILMS * films)
    if not fewest * members <= ratings <= most * members:
        raise ValueError(
            f"{members:,} members give from {fewest * members:,} to {most * members:,} ratings "
            f"of {films:,} films, not {ratings:,}."
        )
    tail = np.exp(ACTIVITY_SPREAD * rng.normal(size=members))
    low, high = 0.0, float(ratings)
    for _ in range(60):
        middle = (low + high) / 2
        total = np.minimum(fewest + middle * tail, most).sum()
        low, high = (middle, high) if total < ratings else (low, middle)
    counts = np.minimum(fewest + low * tail, most).astype(np.int64)
    room = np.flatnonzero(counts < most)
    while (missing := ratings - int(counts.sum())) > 0:
        counts[rng.permutation(room)[:missing]] += 1
        room = np.flatnonzero(counts < most)
    return counts


def blocks(*, members: int, films: int, ratings: int, seed: int) -> tuple[World, Iterator[Block]]:
    """The films, and the ratings of members in order, some members at a time."""
    rng = np.random.default_rng(seed)
    made = world(films, rng)
    counts = activity(members, films, ratings, rng)
    return made, _blocks(made, counts, rng)


def _blocks(made: World, counts: Ints, rng: np.random.Generator) -> Iterator[Block]:
    ends = np.searchsorted(
        np.cumsum(counts), np.arange(AT_ONCE, counts.sum() + AT_ONCE, AT_ONCE), side="left"
    )
    start = 0
    for end in np.unique(np.minimum(ends + 1, len(counts))).tolist():
        yield _block(made, np.arange(start, end), counts[start:end], rng)
        start = end


def _block(made: World, members: Ints, counts: Ints, rng: np.random.Generator) -> Block:
    mixtures = rng.integers(THEMES, size=(len(members), THEMES_PER_MEMBER))
    # The first kind weighs most, so that a member has a taste and not all of them.
    weights = np.sort(rng.dirichlet(np.full(THEMES_PER_MEMBER, 0.6), len(members)))[:, ::-1]
    rows, films = _watched(made, mixtures, weights, counts, rng)
    taste = np.einsum("mk,mkd->md", weights, made.themes[mixtures])
    liking = np.einsum("rd,rd->r", taste[rows], made.traits[films])
    liking *= 1.0 / max(float(liking.std()), 1e-9)
    generosity = GENEROSITY * rng.normal(size=len(members))
    stars = (
        MEAN_STARS
        + made.quality[films]
        + generosity[rows]
        # What is watched by taste is liked on the whole; what counts is how much more.
        + TASTE * (liking - liking.mean())
        + NOISE * rng.normal(size=len(rows))
    )
    stars = np.clip(np.round(2 * stars) / 2, 0.5, 5.0)
    joined = FIRST_DAY_S + DAY_S * rng.integers(DAYS, size=len(members))
    times = joined[rows] + np.sort(rng.integers(60 * DAY_S, size=len(rows)))
    return Block(members[rows], films, stars, times)


def _watched(
    made: World, mixtures: Ints, weights: Floats, counts: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Members' places and films: `counts` different films each, drawn from their kinds."""
    films = made.reach.shape[1]
    kinds = np.cumsum(weights, axis=1)
    taken = np.zeros(0, dtype=np.int64)
    missing = counts.copy()
    for turn in range(40):
        # A few more than are missing, for those that were drawn before.
        wanted = (1.3 * missing).astype(np.int64) + np.where(missing > 0, 4, 0)
        rows = np.repeat(np.arange(len(counts)), wanted)
        if turn < 20:
            kind = (rng.random(len(rows))[:, None] > kinds[rows]).sum(axis=1)
            theme = mixtures[rows, np.minimum(kind, mixtures.shape[1] - 1)]
            drawn = np.empty(len(rows), dtype=np.int64)
            order = np.argsort(theme, kind="stable")
            borders = np.searchsorted(theme[order], np.arange(len(made.reach) + 1))
            for each in np.flatnonzero(np.diff(borders)).tolist():
                of_theme = order[borders[each] : borders[each + 1]]
                drawn[of_theme] = np.searchsorted(
                    made.reach[each], rng.random(len(of_theme)), side="right"
                )
        else:
            # Who has seen all that their kinds watch takes what there is.
            drawn = rng.integers(films, size=len(rows))
        keys = np.unique(rows * films + np.minimum(drawn, films - 1))
        keys = keys[~np.isin(keys, taken, assume_unique=True)]
        # Of those drawn too many, any; sorted keys would favour the first films.
        shuffled = rng.permutation(keys)
        owner = shuffled // films
        order = np.argsort(owner, kind="stable")
        starts = np.searchsorted(owner[order], np.arange(len(counts)))
        place = np.arange(len(keys)) - starts[owner[order]]
        kept = shuffled[order][place < missing[owner[order]]]
        taken = np.sort(np.concatenate([taken, kept]))
        missing = counts - np.bincount(taken // films, minlength=len(counts))
        if not missing.any():
            break
    return taken // films, taken % films


def write(
    folder: Path,
    *,
    members: int,
    films: int,
    ratings: int,
    seed: int,
    progress: Progress = lambda what, part: None,
) -> int:
    """Write movies.csv, links.csv and ratings.csv; the number of ratings. Ids begin at 1."""
    folder.mkdir(parents=True, exist_ok=True)
    made, parts = blocks(members=members, films=films, ratings=ratings, seed=seed)
    names = np.array(list(GENRES))
    with (folder / "movies.csv").open("w", encoding="utf-8") as movies:
        movies.write("movieId,title,genres\n")
        movies.writelines(
            f"{film + 1},Made-up Film {film + 1} ({made.years[film]}),"
            f"{'|'.join(sorted(names[made.genres[film]]))}\n"
            for film in range(films)
        )
    with (folder / "links.csv").open("w", encoding="utf-8") as links:
        links.write("movieId,imdbId,tmdbId\n")
        # Ten digits from the end of the range: no film of this world has one of them.
        links.writelines(f"{film + 1},{9_000_000_001 + film},\n" for film in range(films))
    written = 0
    with (folder / "ratings.csv").open("w", encoding="utf-8") as file:
        file.write("userId,movieId,rating,timestamp\n")
        for block in parts:
            file.writelines(
                f"{member},{film},{stars},{time_s}\n"
                for member, film, stars, time_s in zip(
                    (block.members + 1).tolist(),
                    (block.films + 1).tolist(),
                    block.stars.tolist(),
                    block.times_s.tolist(),
                    strict=True,
                )
            )
            written += len(block.stars)
            progress("ratings", written / ratings)
    return written


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Write made-up ratings in MovieLens's format.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--members", type=int, default=6_040)
    parser.add_argument("--films", type=int, default=3_700)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    started = time.monotonic()

    def progress(what: str, part: float) -> None:
        print(f"\r{what}: {part:.0%} ({time.monotonic() - started:.0f} s)", end="", file=sys.stderr)

    try:
        written = write(
            options.folder,
            members=options.members,
            films=options.films,
            ratings=options.ratings,
            seed=options.seed,
            progress=progress,
        )
    except ValueError as error:
        parser.error(str(error))
    print(file=sys.stderr)
    print(f"{written:,} ratings in {options.folder} ({time.monotonic() - started:.0f} s).")


if __name__ == "__main__":
    main(sys.argv[1:])
