"""Generate a community from a seed: members with tastes, ratings, reviews and playlists. No Django.

Each member is a mix of two of twelve archetypes of taste, so that those who like one movie of a kind
tend to like the others, as in a real community. What a member has seen depends on how widely known a
movie is, on their taste, and on their curiosity for lesser known movies.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from movies.dto import MovieData
from nexus.core.genres import sort_genres

SEED = 20_251_122
MEMBERS = 300
PLAYLISTS = 40
SPAN_DAYS = 120.0
FEWEST_RATINGS, MOST_RATINGS = 15, 80
REVIEWED = 0.03
# Movies that many members rate within the last days, so that the trend differs from all-time popularity.
TALKED_ABOUT = 14
TALKED_ABOUT_DAYS = 6.0


@dataclass(frozen=True)
class Archetype:
    """A taste: genres from -1.5 (avoids) to 1.5 (seeks), and the years of the favorite movies."""

    genres: dict[str, float]
    years: tuple[int, int]
    other_languages: float = 0.0


ARCHETYPES = (
    Archetype(
        {"Science Fiction": 1.3, "Adventure": 0.6, "Action": 0.4, "Romance": -0.6, "Music": -0.5},
        (1977, 2021),
    ),
    Archetype(
        {"Crime": 1.2, "Thriller": 0.9, "Mystery": 0.6, "Family": -0.9, "Animation": -0.8},
        (1970, 2010),
    ),
    Archetype(
        {"Family": 1.1, "Animation": 1.2, "Adventure": 0.4, "Horror": -1.2, "Crime": -0.6},
        (1990, 2021),
    ),
    Archetype(
        {"Romance": 0.6, "Drama": 0.4, "Mystery": 0.4, "Science Fiction": -0.7, "Action": -0.7},
        (1920, 1965),
    ),
    Archetype(
        {"Comedy": 1.3, "Romance": 0.3, "War": -0.7, "Horror": -0.6, "Thriller": -0.4},
        (1980, 2012),
    ),
    Archetype(
        {"Horror": 1.4, "Thriller": 0.7, "Mystery": 0.6, "Family": -0.9, "Music": -0.6},
        (1960, 2021),
    ),
    Archetype(
        {"War": 1.2, "History": 1.1, "Drama": 0.3, "Fantasy": -0.8, "Animation": -0.6},
        (1950, 2015),
    ),
    Archetype(
        {"Fantasy": 1.2, "Adventure": 0.9, "Animation": 0.3, "Crime": -0.6, "Documentary": -0.5},
        (1980, 2021),
    ),
    Archetype(
        {"Drama": 0.8, "Documentary": 0.7, "Action": -0.9, "Adventure": -0.5, "Family": -0.4},
        (1945, 2005),
        other_languages=1.2,
    ),
    Archetype(
        {"Action": 1.3, "Thriller": 0.6, "Crime": 0.3, "Romance": -0.8, "Music": -0.7},
        (1980, 2021),
    ),
    Archetype(
        {"Music": 1.3, "Romance": 1.0, "Comedy": 0.2, "Horror": -0.9, "War": -0.5},
        (1950, 2018),
    ),
    Archetype(
        {"Western": 1.5, "War": 0.4, "Adventure": 0.3, "Animation": -0.7, "Science Fiction": -0.4},
        (1935, 1995),
    ),
)

_FIRST_NAMES = (  # noqa: SIM905 - one name a line would fill two screens
    "Ada Alma Anton Bela Bruno Cara Cleo Dario Dina Edda Emil Enzo Esme Faye Felix Gil Greta Hal "
    "Hana Ida Igor Ines Iris Ivo Jana Joris Juno Kai Kira Lars Lena Levi Lila Luca Mara Milo Mina "
    "Nadia Nico Nora Olaf Oona Otis Petra Pia Quinn Rafa Remy Rosa Ruben Sami Selma Silas Tara "
    "Theo Tilda Uma Vera Viktor Wanda Yara Yuri Zeno Zoe"
).split()
_LAST_NAMES = (  # noqa: SIM905
    "Alder Ambers Ashgrove Barleycorn Birchall Brookhay Calloway Cinderford Cloverly Copperfield "
    "Dewhurst Driftwood Elderby Emberly Fairweather Fennick Foxhill Glasswell Goldfinch Greenlaw "
    "Halfmoon Hartwick Hazelby Inkwell Ironside Juniper Kestrel Lakeland Larkspur Longfellow "
    "Marlow Meadowes Merriweather Mossman Nightley Northbrook Oakhurst Pebblewick Pinewright "
    "Quillon Ravenhall Redfern Rosewater Saltmarsh Silverton Starling Stonebridge Sunderby "
    "Thistlewood Underhill Vinterberg Wainwood Whitlock Willowby Winterbourne Woodrow Yarrowby"
).split()

# About the movies alone: nothing is made up about the people who made them.
_OPENINGS = {
    "low": (
        "I wanted to like {title} more than I did.",
        "Not for me, I am afraid.",
        "Halfway through {title} I was looking at the clock.",
        "Everyone told me to see this, and I still wonder why.",
    ),
    "middle": (
        "A decent evening, no more and no less.",
        "{title} has its moments.",
        "Better than I feared, not as good as I hoped.",
        "Half of {title} is wonderful, the other half passes by.",
    ),
    "high": (
        "What a movie.",
        "{title} has stayed with me for days.",
        "I would see {title} again tomorrow.",
        "This is what {a_genre} movie can be.",
    ),
}
_MIDDLES = {
    "low": (
        "The story takes its time and then goes nowhere.",
        "For {a_genre} movie it never finds its feet.",
        "I could not care about anyone in it.",
        "The music tells you what to feel, and then tells you again.",
    ),
    "middle": (
        "The second half drags a little.",
        "It looks splendid and has no idea how to end.",
        "Good company for a rainy Sunday.",
        "You know what you get from {a_genre} movie.",
    ),
    "high": (
        "Not a minute is wasted.",
        "Every scene has something to look at.",
        "The last half hour alone is worth it.",
        "It still feels fresh, whatever year it is from.",
    ),
}
_CLOSINGS = {
    "low": ("Once was enough.", "I will leave it at that.", "Others may see more in it."),
    "middle": ("Worth one look.", "See it with friends.", "I do not regret it."),
    "high": ("Go and see it.", "A favorite from now on.", "Bring someone along."),
}
_GENRE_LISTS = (
    "{genre} I come back to",
    "A long night of {genre}",
    "{genre} for beginners",
    "{genre} for a rainy Sunday",
)
_DECADE_LISTS = ("My {decade}s", "The {decade}s in a few movies", "Best of the {decade}s")
_OTHER_LISTS = ("Movies to show a friend", "Always worth it", "Desert island shelf", "Top shelf")


@dataclass(frozen=True)
class SampleRating:
    movie: int  # its place in the list of movies
    score: float
    age: timedelta
    review: str = ""


@dataclass(frozen=True)
class SamplePlaylist:
    name: str
    movies: tuple[int, ...]
    age: timedelta


@dataclass(frozen=True)
class SampleMember:
    username: str
    display_name: str
    favorite_genres: tuple[str, ...]
    joined: timedelta
    ratings: tuple[SampleRating, ...]
    playlists: tuple[SamplePlaylist, ...] = field(default=())


@dataclass(frozen=True)
class _Taste:
    genres: dict[str, float]
    years: tuple[tuple[int, int], ...]
    people: frozenset[str]
    other_languages: float


def generate_community(
    movies: Sequence[MovieData], *, members: int = MEMBERS, seed: int = SEED
) -> list[SampleMember]:
    """Return members who have seen some of these movies, which are sorted by how widely known they are.

    The same movies and seed give the same members; ages count back from whenever they are stored.
    """
    # The text is the seed. Another text makes another community, and other figures in the README.
    rng = random.Random(f"{seed}:films")  # noqa: S311 - a taste is no secret
    # Widely known movies are on average liked more.
    qualities = [
        1.2 - 2.4 * place / len(movies) + rng.gauss(0, 0.6) for place in range(len(movies))
    ]
    talked_about = frozenset(rng.sample(range(len(movies)), min(TALKED_ABOUT, len(movies))))
    names = random.Random(f"{seed}:names").sample(  # noqa: S311
        [(first, last) for first in _FIRST_NAMES for last in _LAST_NAMES], members
    )
    favorites = [_choose_favorites(movies, archetype) for archetype in ARCHETYPES]
    # Spread over all members, so that the lists are not all of one archetype.
    list_makers = {place * members // PLAYLISTS for place in range(PLAYLISTS)}
    made = []
    for number, (first, last) in enumerate(names):
        rng = random.Random(f"{seed}:{number}")  # noqa: S311
        taste = _draw_taste(rng, number, favorites)
        ratings, joined = _draw_ratings(rng, movies, taste, qualities, talked_about)
        liked = sorted(taste.genres, key=lambda name: -taste.genres[name])[: rng.randint(1, 3)]
        made.append(
            SampleMember(
                username=f"sample-{first}.{last}".lower(),
                display_name=f"{first} {last}",
                favorite_genres=tuple(sort_genres(liked)),
                joined=joined,
                ratings=ratings,
                playlists=_draw_playlists(rng, movies, ratings, liked[0])
                if number in list_makers
                else (),
            )
        )
    return made


def _choose_favorites(movies: Sequence[MovieData], archetype: Archetype) -> list[str]:
    """Return the eight directors and leads of two or more movies that suit an archetype best."""
    fits: dict[str, list[float]] = {}
    for movie in movies:
        fit = _genre_fit(movie, archetype.genres) + _year_fit(movie, (archetype.years,))
        for person in (*movie.directors, *movie.cast[:2]):
            fits.setdefault(person.name, []).append(fit)
    several = {name: sum(fit) for name, fit in fits.items() if len(fit) > 1}
    return sorted(several, key=lambda name: (-several[name], name))[:8]


def _genre_fit(movie: MovieData, genres: dict[str, float]) -> float:
    known = max(len(movie.genres), 1)
    return sum(genres.get(name, 0.0) for name in movie.genres) / math.sqrt(known)


def _year_fit(movie: MovieData, years: Sequence[tuple[int, int]]) -> float:
    if movie.release_date is None:
        return 0.0
    year = movie.release_date.year
    return 0.4 * max(1.0 if first <= year <= last else -0.5 for first, last in years)


def _draw_taste(rng: random.Random, number: int, favorites: Sequence[Sequence[str]]) -> _Taste:
    """Return a mix of two archetypes, the first of them by turns, with noise."""
    main = number % len(ARCHETYPES)
    second = rng.choice([other for other in range(len(ARCHETYPES)) if other != main])
    share = rng.uniform(0.6, 0.9)
    genres: dict[str, float] = {}
    for place, part in ((main, share), (second, 1 - share)):
        for name, weight in ARCHETYPES[place].genres.items():
            genres[name] = genres.get(name, 0.0) + part * weight
    for name in genres:
        genres[name] += rng.gauss(0, 0.15)
    people = [*_draw_some(rng, favorites[main], 4), *_draw_some(rng, favorites[second], 1)]
    return _Taste(
        genres=genres,
        years=(ARCHETYPES[main].years, ARCHETYPES[second].years)
        if share < 0.75
        else (ARCHETYPES[main].years,),
        people=frozenset(people),
        other_languages=share * ARCHETYPES[main].other_languages,
    )


def _draw_some(rng: random.Random, names: Sequence[str], count: int) -> list[str]:
    return rng.sample(names, min(count, len(names)))


def _draw_ratings(
    rng: random.Random,
    movies: Sequence[MovieData],
    taste: _Taste,
    qualities: Sequence[float],
    talked_about: frozenset[int],
) -> tuple[tuple[SampleRating, ...], timedelta]:
    """Return a member's ratings, oldest first, and how long ago they joined."""
    fits = _standardize([_compute_fit(movie, taste) for movie in movies])
    generosity = rng.gauss(0.0, 0.3)
    curiosity = rng.betavariate(2.0, 3.0)
    joined = rng.uniform(8.0, SPAN_DAYS)
    count = FEWEST_RATINGS + round((MOST_RATINGS - FEWEST_RATINGS) * rng.betavariate(1.5, 2.2))
    # Weighted sampling without replacement: Efraimidis and Spirakis, 2006.
    keys = []
    for place, fit in enumerate(fits):
        renown = (place + 8.0) ** (-1.2 * (1.0 - curiosity))
        keys.append((math.log(1.0 - rng.random()) / (renown * math.exp(0.8 * fit)), place))
    seen = sorted(place for _, place in sorted(keys, reverse=True)[:count])
    ratings = []
    for place in seen:
        stars = 3.1 + generosity + 0.65 * fits[place] + 0.3 * qualities[place] + rng.gauss(0, 0.45)
        score = min(max(round(stars * 2) / 2, 1.0), 5.0)
        recent = place in talked_about and rng.random() < 0.7
        days = rng.uniform(0.02, min(joined, TALKED_ABOUT_DAYS) if recent else joined)
        review = _write_review(rng, movies[place], score) if rng.random() < REVIEWED else ""
        ratings.append(SampleRating(place, score, timedelta(seconds=round(days * 86_400)), review))
    ratings.sort(key=lambda rating: (-rating.age, rating.movie))
    return tuple(ratings), timedelta(seconds=round(joined * 86_400) + 600)


def _compute_fit(movie: MovieData, taste: _Taste) -> float:
    fit = _genre_fit(movie, taste.genres) + _year_fit(movie, taste.years)
    if movie.original_language != "en":
        fit += taste.other_languages
    if any(person.name in taste.people for person in movie.directors):
        fit += 0.8
    if any(person.name in taste.people for person in movie.cast):
        fit += 0.5
    return fit


def _standardize(values: Sequence[float]) -> list[float]:
    """Return the values with mean 0 and deviation 1: strong and mild tastes use the same stars."""
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / (deviation or 1.0) for value in values]


def _write_review(rng: random.Random, movie: MovieData, score: float) -> str:
    mood = "low" if score <= 2.5 else "middle" if score < 4.0 else "high"
    parts = [rng.choice(some[mood]) for some in (_OPENINGS, _MIDDLES, _CLOSINGS)]
    genre = movie.genres[0].lower() if movie.genres else "good"
    article = "an" if genre[0] in "aeiou" else "a"
    return " ".join(parts).format(title=movie.title, a_genre=f"{article} {genre}")


def _draw_playlists(
    rng: random.Random, movies: Sequence[MovieData], ratings: Sequence[SampleRating], genre: str
) -> tuple[SamplePlaylist, ...]:
    """Return one list of movies the member liked: of their first genre, of a decade, or of any kind."""
    liked = [rating for rating in ratings if rating.score >= 3.5]
    decades = Counter(_get_decade(movies[rating.movie]) for rating in liked)
    decade = max(decades, key=lambda each: (decades[each], each), default=0)
    name, chosen = rng.choice(
        [
            (
                rng.choice(_GENRE_LISTS).format(genre=genre),
                [rating for rating in liked if genre in movies[rating.movie].genres],
            ),
            (
                rng.choice(_DECADE_LISTS).format(decade=decade),
                [
                    rating
                    for rating in liked
                    if decade and _get_decade(movies[rating.movie]) == decade
                ],
            ),
            (rng.choice(_OTHER_LISTS), liked),
        ]
    )
    if len(chosen) < 3:
        name, chosen = rng.choice(_OTHER_LISTS), liked
    best = sorted(chosen, key=lambda rating: (-rating.score, rating.movie))[: rng.randint(5, 12)]
    if not best:
        return ()
    # Made after the last of its movies was seen.
    age = min(rating.age for rating in best) * rng.uniform(0.2, 1.0)
    age = timedelta(seconds=round(age.total_seconds()))
    return (SamplePlaylist(name, tuple(rating.movie for rating in best), age),)


def _get_decade(movie: MovieData) -> int:
    return movie.release_date.year // 10 * 10 if movie.release_date else 0
