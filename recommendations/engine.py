"""The engine's one interface: `matches`, `feed`, `similar`. The endpoints and commands know no more.

The learned engine that is to take this one's place answers the same three calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from django.db.models import F, Q

from accounts.models import User
from movies.models import Credit, Movie, MovieQuerySet
from nexus.core.genres import GENRE_NAMES, in_tmdb_order
from recommendations import evidence, scoring
from recommendations.likeness import likeness, listed
from recommendations.scoring import Array, Films, History, PeerVotes
from recommendations.selectors import (
    CoLiked,
    FilmRow,
    Votes,
    candidates,
    co_liked,
    features,
    film_rows,
    history_of,
    history_rows,
    most_seen,
    peer_votes,
    peers_of,
    people_of,
)
from tmdb.selectors import listed_beside

ALGORITHM = scoring.ALGORITHM
# How deep a feed and a list of similar films go.
FEED_DEPTH = 300
SIMILAR_DEPTH = 200
# Of the feed, as many as are shown on the first pages are chosen for diversity.
DIVERSIFIED_DEPTH = 100
# Likes of both films needed for taste to count as much as content in `similar`.
SIMILAR_SHRINKAGE = 20.0
# Keeps two films that three people liked from being each other's double.
TASTE_SHRINKAGE = 10.0
# Taste that counts for less than this leaves room for what TMDb's visitors say.
ASK_TMDB_BELOW = 0.5


@dataclass(frozen=True)
class Component:
    points: float
    weight: float
    evidence: list[str]


@dataclass(frozen=True)
class Match:
    """One film's score for one member; baseline and points add up to `match_score`."""

    movie_id: int
    title: str
    match_score: float
    confidence: float
    baseline: float
    components: dict[str, Component]
    because: list[str]


@dataclass(frozen=True)
class Recommendation:
    movie_id: int
    match_score: float
    reasons: list[str]


class Recommendations(Sequence[Recommendation]):
    """A ranked feed; what is said of a film is put together when that film is shown."""

    def __init__(self, chosen: Sequence[int], describe: Callable[[int], Recommendation]) -> None:
        self._chosen = chosen
        self._describe = describe

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, place: int) -> Recommendation: ...
    @overload
    def __getitem__(self, place: slice) -> list[Recommendation]: ...
    def __getitem__(self, place: int | slice) -> Recommendation | list[Recommendation]:
        if isinstance(place, slice):
            return [self._describe(index) for index in self._chosen[place]]
        return self._describe(self._chosen[place])


@dataclass(frozen=True)
class Feed:
    items: Sequence[Recommendation]
    strategy: str


@dataclass(frozen=True)
class SimilarFilm:
    movie_id: int
    similarity: float
    reasons: list[str]


@dataclass(frozen=True)
class _Member:
    """A member's history with what is looked up for it once."""

    history: History
    rows: list[FilmRow]


def _member(user: User) -> _Member:
    rows, stars = history_rows(user)
    return _Member(history_of(user, features(rows), stars), rows)


@dataclass(frozen=True)
class _Scored:
    films: Films
    likeness: Array
    values: dict[str, Array]
    scores: scoring.Scores
    votes: PeerVotes


def _score(member: _Member, films: Films, votes: Votes) -> _Scored:
    rated = [row.id for row in member.rows]
    people = people_of([*rated, *films.ids.tolist()])
    alike = likeness(
        films,
        member.history.films,
        [people[movie_id] for movie_id in films.ids.tolist()],
        [people[movie_id] for movie_id in rated],
    )
    # A film already rated must not vouch for itself.
    alike = np.where(films.ids[:, None] == member.history.films.ids[None, :], 0.0, alike)
    of_peers = votes.on(films.ids)
    values = scoring.signals(member.history, films, alike, of_peers)
    return _Scored(films, alike, values, scoring.score(values), of_peers)


def matches(user: User, movie_ids: Sequence[int], *, explained: bool = True) -> list[Match]:
    """The match of each film that exists, in the order given; six queries, however many films."""
    by_id = {row.id: row for row in film_rows(movie_ids)}
    rows = [by_id[movie_id] for movie_id in movie_ids if movie_id in by_id]
    if not rows:
        return []
    member = _member(user)
    peers = peers_of(user.pk, member.history.films, member.history.stars)
    votes = peer_votes(peers, movie_ids=[row.id for row in rows])
    scored = _score(member, features(rows), votes)
    names = evidence.people_in_common(rows, member.rows) if explained else {}
    return [_match(index, row, member, scored, votes, names) for index, row in enumerate(rows)]


def _match(
    index: int,
    row: FilmRow,
    member: _Member,
    scored: _Scored,
    votes: Votes,
    names: evidence.SharedNames,
) -> Match:
    scores = scored.scores
    percent = round(float(scores.percent[index]), 1)
    points = [float(scores.parts[part][index]) for part in scoring.PARTS]
    baseline, rounded = scoring.rounded(scores.baseline, points, percent)
    said = evidence.of_parts(
        row=row,
        rated=member.rows,
        stars=member.history.stars,
        affinities=scoring.affinities(member.history),
        favourites=member.history.favourites,
        generosity=scoring.generosity(member.history),
        likeness=scored.likeness[index],
        names=names,
        peers=votes.counts(row.id),
    )
    total = sum(abs(value) for value in points) or 1.0
    components = {
        part: Component(points=value, weight=round(abs(raw) / total, 2), evidence=said[part])
        for part, value, raw in zip(scoring.PARTS, rounded, points, strict=True)
    }
    return Match(
        movie_id=row.id,
        title=row.title,
        match_score=percent,
        confidence=scoring.confidence(len(member.history), float(scored.films.votes[index])),
        baseline=baseline,
        components=components,
        because=evidence.because(points=dict(zip(scoring.PARTS, points, strict=True)), said=said),
    )


def feed(user: User, films: MovieQuerySet, *, diversity: float = 0.0) -> Feed:
    """What to watch next, of the films that pass; never one the member has rated.

    Without any rating it is the cold start: what is top rated and trending, favourite genres first.
    """
    member = _member(user)
    history = member.history
    peers = peers_of(user.pk, history.films, history.stars)
    votes = peer_votes(peers)
    favourites = in_tmdb_order(set(user.favorite_genres) & set(GENRE_NAMES))
    rows = candidates(user, films, votes, favourites)
    if not rows:
        return Feed([], _strategy(history))
    described = features(rows, most_seen=most_seen())
    scored = _score(member, described, votes)
    order = scoring.rank(scored.scores.percent, scored.votes, described, len(history))
    if not len(history) and favourites:
        # The genres of the profile come first, whatever else is well rated.
        order = order + (described.genres @ history.favourites > 0) * (order.max() + 1.0)
    alike = _likeness_among(described) if diversity else np.zeros((0, 0))
    chosen = scoring.diversified(order, alike, diversity=diversity, depth=DIVERSIFIED_DEPTH)[
        :FEED_DEPTH
    ]
    items = Recommendations(
        chosen, lambda index: _recommendation(index, rows[index], member, scored, votes)
    )
    return Feed(items, _strategy(history))


def _strategy(history: History) -> str:
    return "personalized" if len(history) else "cold_start"


def _likeness_among(films: Films) -> Array:
    people = people_of(films.ids.tolist())
    ordered = [people[movie_id] for movie_id in films.ids.tolist()]
    return likeness(films, films, ordered, ordered)


def _recommendation(
    index: int, row: FilmRow, member: _Member, scored: _Scored, votes: Votes
) -> Recommendation:
    reasons = evidence.reasons(
        row=row,
        rated=member.rows,
        stars=member.history.stars,
        favourites=member.history.favourites,
        likeness=scored.likeness[index],
        peers=votes.counts(row.id),
    )
    return Recommendation(row.id, round(float(scored.scores.percent[index]), 1), reasons)


def similar(movie: Movie) -> list[SimilarFilm]:
    """The films most like one, by shared taste where its ratings say enough, else by content.

    similarity = a * taste + (1 - a) * content with a = n / (n + SIMILAR_SHRINKAGE), n the sampled
    raters; taste is the shrunk cosine of likes, content the likeness of genres, period and people.
    Where a is below ASK_TMDB_BELOW, content is raised for what TMDb recommends beside the film or
    finds similar (likeness.listed), as far as a copy of that is held: TMDb is never waited for.
    """
    liked = co_liked(movie.pk)
    trusted = scoring.trust(liked.sample, SIMILAR_SHRINKAGE)
    at_tmdb = listed_beside(movie) if trusted < ASK_TMDB_BELOW else {}
    shared_people = Credit.objects.filter(
        person__credits__movie=movie, position__lt=4, person__credits__position__lt=4
    ).values("movie_id")[:500]
    kind = Q(genres__contains=movie.genres) if movie.genres else Q(pk__in=[])
    pool = Movie.objects.exclude(pk=movie.pk)
    ids = {*liked.together, *at_tmdb}
    ids.update(pool.filter(id__in=shared_people).values_list("id", flat=True)[:200])
    ids.update(
        pool.filter(kind)
        .order_by(F("rating_count").desc(), "id")
        .values_list("id", flat=True)[:200]
    )
    rows = film_rows(ids)
    if not rows:
        return []
    of_movie = film_rows([movie.pk])
    described, target = features(rows), features(of_movie)
    people = people_of([movie.pk, *described.ids.tolist()])
    content = likeness(
        described,
        target,
        [people[movie_id] for movie_id in described.ids.tolist()],
        [people[movie.pk]],
    )[:, 0]
    content = listed(
        content, np.array([at_tmdb.get(row.id, np.nan) for row in rows], dtype=np.float64)
    )
    similarity = trusted * _taste(movie, rows, liked) + (1 - trusted) * content
    names = evidence.people_in_common(rows, of_movie)
    order = np.lexsort((described.ids, -similarity))[:SIMILAR_DEPTH]
    return [
        SimilarFilm(
            movie_id=rows[index].id,
            similarity=round(float(similarity[index]), 3),
            reasons=evidence.of_similarity(
                rows[index],
                of_movie[0],
                names,
                liked.together.get(rows[index].id, 0),
                at_tmdb=rows[index].id in at_tmdb,
            ),
        )
        for index in order
        if similarity[index] > 0
    ]


def _taste(movie: Movie, rows: Sequence[FilmRow], liked: CoLiked) -> Array:
    """(m,) Cosine of the likes of two films, shrunk by TASTE_SHRINKAGE, 0 to 1."""
    together = np.array([liked.together.get(row.id, 0) for row in rows], dtype=np.float64)
    # The sample stands for all raters, so its counts are scaled up to them.
    raters = max(movie.rating_count, liked.sample)
    together *= raters / max(liked.sample, 1)
    others = np.array([row.rating_count for row in rows], dtype=np.float64)
    cosine: Array = together / (np.sqrt(raters * others) + TASTE_SHRINKAGE)
    return np.minimum(cosine, 1.0)
