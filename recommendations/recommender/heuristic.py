"""The first formula (scoring.py): from the ratings alone, with nothing trained.

It serves while there is no training, and is the prior formula that a training must beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accounts.models import User
from movies.models import MovieQuerySet
from nexus.core.genres import GENRE_NAMES, sort_genres
from recommendations.algorithms import heuristic as scoring
from recommendations.algorithms.content_similarity import content_similarity
from recommendations.algorithms.heuristic import LIKED, Array, History, Movies, PeerVotes
from recommendations.recommender import explanations as evidence
from recommendations.recommender.diversity import sequence_feed
from recommendations.recommender.results import (
    Component,
    DiversityReport,
    Feed,
    Match,
    RankedList,
    Recommendation,
)
from recommendations.selectors import (
    FEED_DEPTH,
    MovieRow,
    PeerCounts,
    Votes,
    candidates,
    features,
    history_of,
    history_rows,
    most_seen,
    movie_rows,
    peer_votes,
    peers_of,
    people_of,
)

ALGORITHM = scoring.ALGORITHM


@dataclass(frozen=True)
class _Member:
    """A member's history with what is looked up for it once."""

    history: History
    rows: list[MovieRow]


def _member(user: User) -> _Member:
    rows, stars = history_rows(user)
    return _Member(history_of(user, features(rows), stars), rows)


@dataclass(frozen=True)
class _Scored:
    movies: Movies
    likeness: Array
    values: dict[str, Array]
    scores: scoring.Scores
    votes: PeerVotes


def _score(member: _Member, movies: Movies, votes: Votes) -> _Scored:
    rated = [row.id for row in member.rows]
    people = people_of([*rated, *movies.ids.tolist()])
    alike = content_similarity(
        movies,
        member.history.movies,
        [people[movie_id] for movie_id in movies.ids.tolist()],
        [people[movie_id] for movie_id in rated],
    )
    # A movie already rated must not vouch for itself.
    alike = np.where(movies.ids[:, None] == member.history.movies.ids[None, :], 0.0, alike)
    of_peers = votes.on(movies.ids)
    values = scoring.signals(member.history, movies, alike, of_peers)
    return _Scored(movies, alike, values, scoring.score(values), of_peers)


def matches(user: User, movie_ids: Sequence[int], *, explained: bool = True) -> list[Match]:
    """The match of each movie that exists, in the order given; six queries, however many movies."""
    by_id = {row.id: row for row in movie_rows(movie_ids)}
    rows = [by_id[movie_id] for movie_id in movie_ids if movie_id in by_id]
    if not rows:
        return []
    member = _member(user)
    peers = peers_of(user.pk, member.history.movies, member.history.stars)
    votes = peer_votes(peers, movie_ids=[row.id for row in rows])
    scored = _score(member, features(rows), votes)
    names = evidence.read_shared_people(rows, member.rows) if explained else {}
    return [_match(index, row, member, scored, votes, names) for index, row in enumerate(rows)]


def _match(
    index: int,
    row: MovieRow,
    member: _Member,
    scored: _Scored,
    votes: Votes,
    names: evidence.SharedNames,
) -> Match:
    scores = scored.scores
    percent = round(float(scores.percent[index]), 1)
    points = [float(scores.parts[part][index]) for part in scoring.PARTS]
    baseline, rounded = scoring.rounded(scores.baseline, points, percent)
    said = of_parts(
        row=row,
        rated=member.rows,
        stars=member.history.stars,
        affinities=scoring.affinities(member.history),
        favorites=member.history.favorites,
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
        confidence=scoring.confidence(len(member.history), float(scored.movies.votes[index])),
        baseline=baseline,
        components=components,
        because=evidence.summarize(
            points=dict(zip(scoring.PARTS, points, strict=True)), evidence=said
        ),
        # With a rating left out the peers would be others: not to be had for the same few queries.
        counterfactuals=[],
        algorithm=ALGORITHM,
    )


def feed(user: User, movies: MovieQuerySet, *, diversity: float = 0.0) -> Feed:
    """What to watch next, of the movies that pass.

    Without any rating it is the cold start: what is top rated and trending, favorite genres first.
    """
    member = _member(user)
    history = member.history
    peers = peers_of(user.pk, history.movies, history.stars)
    votes = peer_votes(peers)
    favorites = sort_genres(set(user.favorite_genres) & set(GENRE_NAMES))
    rows = candidates(movies, votes, favorites)
    strategy = "personalized" if len(history) else "cold_start"
    if not rows:
        return Feed(RankedList.empty(), strategy, ALGORITHM, DiversityReport(diversity, 0.0, 0))
    described = features(rows, most_seen=most_seen())
    scored = _score(member, described, votes)
    order = scoring.rank(scored.scores.percent, scored.votes, described, len(history))
    if not len(history) and favorites:
        # The genres of the profile come first, whatever else is well rated.
        order = order + (described.genres @ history.favorites > 0) * (order.max() + 1.0)
    none = np.zeros(len(rows), dtype=np.int64)
    chosen, told = sequence_feed(
        order,
        described,  # type: ignore[arg-type]
        diversity=diversity,
        series=none,
        released=none,
        is_eligible=none == 0,
    )

    def movie(place: int) -> Recommendation:
        return Recommendation(rows[place].id, round(float(scored.scores.percent[place]), 1))

    def reasons_at(places: Sequence[int]) -> list[list[str]]:
        return [
            reasons(
                row=rows[place],
                rated=member.rows,
                stars=history.stars,
                favorites=history.favorites,
                likeness=scored.likeness[place],
                peers=votes.counts(rows[place].id),
            )
            for place in places
        ]

    return Feed(RankedList(chosen[:FEED_DEPTH], movie, reasons_at), strategy, ALGORITHM, told)


MIN_LIKENESS = 0.25


def of_parts(
    *,
    row: MovieRow,
    rated: Sequence[MovieRow],
    stars: Array,
    affinities: scoring.Affinities,
    favorites: Array,
    generosity: float,
    likeness: Array,
    names: evidence.SharedNames,
    peers: PeerCounts,
) -> dict[str, list[str]]:
    """The evidence of each part of the score, most telling first."""
    return {
        "genre_affinity": evidence.describe_genres(
            row,
            evidence.GenreAffinities(affinities.genre, affinities.counts, affinities.mean_stars),
            favorites,
        ),
        "rating_history": [
            *_of_movies(row, rated, stars, likeness, names),
            *_of_peers(peers),
            *evidence.describe_generosity(len(rated), generosity),
        ],
        "popularity": [evidence.describe_votes(row)],
    }


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
        said.append(
            f"Like {rated[best].title}, which you gave {evidence._format_stars(stars[best])}."
        )
    said.extend(_of_peers(peers))
    said.extend(
        f"{name} is one of your favorite genres."
        for name in row.genres
        if favorites[GENRE_NAMES.index(name)]
    )
    said.append(evidence.describe_votes(row))
    return said[: evidence.MAX_REASONS]


def _of_movies(
    row: MovieRow,
    rated: Sequence[MovieRow],
    stars: Array,
    likeness: Array,
    names: evidence.SharedNames,
) -> list[str]:
    said = []
    for index in np.argsort(-likeness, kind="stable")[: evidence.MAX_REASONS]:
        if likeness[index] < MIN_LIKENESS:
            break
        other = rated[int(index)]
        said.extend(
            evidence.describe_opinions(
                row, [evidence.Opinion(other, float(stars[index]))], [], names
            )
        )
    return said


def _of_peers(peers: PeerCounts) -> list[str]:
    if not peers.rated:
        return []
    if peers.rated == 1:
        liked = "liked" if peers.liked else "did not like"
        return [f"The one member with your taste who rated it {liked} it."]
    return [f"{peers.liked} of {peers.rated} members with your taste who rated it liked it."]
