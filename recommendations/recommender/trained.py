"""The trained formula: what recommendations.algorithms learned, asked about one member.

A member is nothing but ratings and feedback (fold-in), so that a new one counts in the next answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from movies.models import MovieQuerySet
from nexus.core.genres import GENRE_NAMES, sort_genres
from recommendations.algorithms.heuristic import (
    GENEROSITY_SHRINKAGE,
    GENRE_SHRINKAGE,
    PARTS,
    Affinities,
    confidence,
)
from recommendations.algorithms.match_score import (
    percents,
    percents_without,
    rating_contributions,
    score,
)
from recommendations.algorithms.ranking import POPULARITY_WEIGHT, popularity_weight, rank
from recommendations.algorithms.shapley import rounded
from recommendations.algorithms.types import LIKED, Array, Links, Movies, positions
from recommendations.recommender import explanations as evidence
from recommendations.recommender.diversity import mixed
from recommendations.recommender.queries import Candidates, Member, candidates_read, movies_read
from recommendations.recommender.results import (
    Component,
    Counterfactual,
    Diversity,
    Feed,
    Match,
    RatedMovie,
    Recommendation,
    Recommendations,
    nothing,
)
from recommendations.selectors import FEED_DEPTH, MovieRow, movie_rows

# Below so many ratings the feed looks past what they speak for, at the top rated and the trend.
THIN_HISTORY = 5
# Of how many of the member's movies evidence and counterfactuals tell.
TOLD = 3
# What moved a score by fewer points of percent is no evidence for it.
LEAST_TOLD = 0.05


def feed(
    member: Member, shown: MovieQuerySet, *, favorites: Sequence[str], diversity: float = 0.0
) -> Feed:
    """What to watch next, of the movies that may be shown; one query."""
    named = sort_genres(set(favorites) & set(GENRE_NAMES))
    candidates = candidates_read(
        member.head,
        shown,
        order=_unrated(member, spoken_for(member)),
        favorites=named,
        thin=member.history.n < THIN_HISTORY,
    )
    return feed_of(member, candidates, diversity=diversity)


def spoken_for(member: Member) -> Array:
    """(m,) What the member's movies say for each movie of the training, before its own chances."""
    head, history = member.head, member.history
    if history.n or not head.parameters.recent_popularity:
        order = popularity_weight(history.n) * head.rates
    else:
        order = POPULARITY_WEIGHT * head.recent_rates
    lists = member.targets
    spoken = (history.wants * history.recency)[lists.owners] * lists.weights
    summed: Array = order + np.bincount(lists.places, spoken, minlength=len(order))
    return summed


def _unrated(member: Member, order: Array) -> Array:
    """The order with the movies of the history last, so that nobody looks whether they may be
    shown."""
    places, held = positions(member.head.movie_ids, member.history.movies.ids)
    order = order.copy()
    order[places[held & member.history.rated]] = -np.inf
    return order


def feed_of(member: Member, candidates: Candidates, *, diversity: float = 0.0) -> Feed:
    """The feed of these candidates."""
    head, history, movies = member.head, member.history, candidates.movies
    strategy = "personalized" if history.n else "cold_start"
    if not len(movies):
        return Feed(nothing(), strategy, head.algorithm, Diversity(diversity, 0.0, 0))
    links = (
        candidates.feed.from_targets(head, history.movies.ids),
        candidates.taste.from_targets(head, history.movies.ids),
    )
    scores = score(history, movies, *links, head.coefficients)
    order = rank(history, movies, links[0], scores.percent, head.factor_gram, head.parameters)
    if not history.n and history.favorites.any():
        # The genres of the profile come first, whatever else is well rated.
        order = order + (movies.genres @ history.favorites > 0) * (np.ptp(order) + 1.0)
    chosen, told = mixed(order, movies, diversity=diversity)

    def movie(place: int) -> Recommendation:
        return Recommendation(int(movies.ids[place]), round(float(scores.percent[place]), 1))

    return Feed(
        Recommendations(
            chosen[:FEED_DEPTH], movie, lambda places: _reasons(member, movies, links[0], places)
        ),
        strategy,
        head.algorithm,
        told,
    )


def matches(member: Member, movie_ids: Sequence[int], *, explained: bool = True) -> list[Match]:
    """The match of each movie that exists, in the order given; two queries."""
    candidates = movies_read(member.head, movie_ids)
    found = {movie_id: place for place, movie_id in enumerate(candidates.movies.ids.tolist())}
    places = [found[movie_id] for movie_id in movie_ids if movie_id in found]
    if not places:
        return []
    history, movies, head = member.history, candidates.movies, member.head
    feed = candidates.feed.from_targets(head, history.movies.ids)
    taste = candidates.taste.from_targets(head, history.movies.ids)
    scores = score(history, movies, feed, taste, head.coefficients)
    asked = [
        _Asked(movies[np.array([place])], _of_one(feed, place), _of_one(taste, place))
        for place in places
    ]
    told = [_most_telling(member, each) if explained else {} for each in asked]
    named = [int(history.movies.ids[index]) for some in told for index in some]
    rows, names = evidence.movies_with_names(movies.ids[places].tolist(), named)
    affinities = _affinities(member)
    answers = []
    for place, each, some in zip(places, asked, told, strict=True):
        row = rows.get(int(movies.ids[place]))
        if row is None:
            continue  # deleted since the query before
        # A movie of the history that is gone meanwhile has no name to be told by.
        left = [index for index in some if int(history.movies.ids[index]) in rows]
        speaking = [index for index in left if abs(some[index]) >= LEAST_TOLD]
        percent = round(float(scores.percent[place]), 1)
        points = {part: float(scores.parts[part][place]) for part in PARTS}
        said = {
            "genre_affinity": evidence.of_genres(row, affinities, history.favorites),
            "rating_history": [
                *evidence.of_movies(row, [_said(member, index, rows) for index in speaking], names),
                *evidence.of_generosity(history.n, _generosity(member)),
            ],
            "popularity": evidence.of_votes(row),
        }
        baseline, to_tenths = rounded(scores.baseline, list(points.values()), percent)
        total = sum(abs(value) for value in points.values()) or 1.0
        answers.append(
            Match(
                movie_id=row.id,
                title=row.title,
                match_score=percent,
                confidence=confidence(history.n, row.rating_count + row.vote_count),
                baseline=baseline,
                components={
                    part: Component(value, round(abs(points[part]) / total, 2), said[part])
                    for part, value in zip(PARTS, to_tenths, strict=True)
                },
                because=evidence.because(points=points, said=said),
                counterfactuals=_counterfactuals(member, each, left, rows, percent),
                algorithm=head.algorithm,
            )
        )
    return answers


@dataclass(frozen=True)
class _Asked:
    """One movie to score, with what speaks for it."""

    movie: Movies
    feed: Links
    taste: Links


def percents_of(member: Member, candidates: Candidates) -> Array:
    """(m,) The match score of each movie, as `matches` rounds it."""
    history, head = member.history, member.head
    feed = candidates.feed.from_targets(head, history.movies.ids)
    taste = candidates.taste.from_targets(head, history.movies.ids)
    return np.round(percents(history, candidates.movies, feed, taste, head.coefficients), 1)


def _counterfactuals(
    member: Member,
    asked: _Asked,
    told: Sequence[int],
    rows: Mapping[int, MovieRow],
    match_score: float,
) -> list[Counterfactual]:
    """The score without each of these ratings, greatest difference first; exact, by fold-in."""
    history = member.history
    rated = [index for index in told if history.rated[index]]
    without = percents_without(
        history, asked.movie, rated, asked.feed, asked.taste, member.head.coefficients
    )
    found = [
        Counterfactual(
            movie=RatedMovie(row.id, row.title),
            your_score=float(history.stars[index]),
            match_score_without=round(float(percent[0]), 1),
        )
        for index, percent in zip(rated, without, strict=True)
        for row in [rows[int(history.movies.ids[index])]]
    ]
    return sorted(found, key=lambda each: -abs(each.match_score_without - match_score))


def _most_telling(member: Member, asked: _Asked) -> dict[int, float]:
    """Places in the history of the TOLD movies that moved one movie's score most, most first, each
    with the points of percent that it added."""
    moved = rating_contributions(
        member.history, asked.movie, asked.feed, asked.taste, member.head.coefficients
    )
    order = np.argsort(-np.abs(np.round(moved, 9)), kind="stable")
    return {int(index): float(moved[index]) for index in order[:TOLD]}


def _of_one(links: Links, place: int) -> Links:
    """The links to the movie in this place, as its only movie."""
    chosen = links.movies == place
    rated = links.rated[chosen]
    return Links(np.zeros_like(rated), rated, links.weights[chosen])


def _said(member: Member, index: int, rows: Mapping[int, MovieRow]) -> evidence.Told:
    """A movie of the history with what the member said of it."""
    history = member.history
    stars = float(history.stars[index]) if history.rated[index] else None
    return evidence.Told(
        rows[int(history.movies.ids[index])], stars, more=bool(history.wants[index] > 0)
    )


def _affinities(member: Member) -> Affinities:
    """How far above expectation the member rates each genre; for evidence in words."""
    history, rated = member.history, member.history.rated
    genres = history.movies.genres[rated].astype(np.float64)
    stars = history.stars[rated]
    above = stars - member.head.totals.mean_stars - history.movies.bias[rated]
    above = above - above.sum() / (len(stars) + GENEROSITY_SHRINKAGE)
    counts = genres.sum(axis=0)
    return Affinities(
        genre=above @ genres / (counts + GENRE_SHRINKAGE),
        counts=counts,
        mean_stars=stars @ genres / np.maximum(counts, 1),
    )


def _generosity(member: Member) -> float:
    """Likes above expectation a rating, shrunk; for evidence in words."""
    history, rated = member.history, member.history.rated
    expected = 1 / (1 + np.exp(-history.movies.quality[rated]))
    above = float(((history.stars[rated] >= LIKED) - expected).sum())
    return above / (history.n + GENEROSITY_SHRINKAGE)


def _reasons(member: Member, movies: Movies, feed: Links, places: Sequence[int]) -> list[list[str]]:
    """Why the movies in these places are in the feed; one query for all of them."""
    history = member.history
    # What the member wants less of speaks for nothing that could be told as a reason.
    spoken = feed.weights * np.maximum(history.wants[feed.rated], 0.0)
    speaking: list[list[int]] = []
    for place in places:
        entries = np.flatnonzero(feed.movies == place)
        most = entries[np.argsort(-spoken[entries], kind="stable")[:TOLD]]
        speaking.append([int(feed.rated[entry]) for entry in most if spoken[entry] > 0])
    own = history.movies.ids[[index for some in speaking for index in some]].tolist()
    shown = movies.ids[list(places)].tolist()
    rows = {row.id: row for row in movie_rows({*shown, *own})}
    return [
        evidence.of_feed(
            rows[movie_id],
            [
                _said(member, index, rows)
                for index in some
                if int(history.movies.ids[index]) in rows
            ],
            history.favorites,
        )
        if movie_id in rows
        else []
        for movie_id, some in zip(shown, speaking, strict=True)
    ]
