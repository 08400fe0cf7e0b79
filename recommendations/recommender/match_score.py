"""The match scores of movies for one member, with evidence and counterfactuals.

A view calls `compute_matches`. It reads the member and the movies (queries), scores them (algorithms),
and explains the scores (explanations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accounts.models import User
from recommendations.algorithms.match_score import (
    GENRE_SHRINKAGE,
    PARTS,
    generosity,
    percents,
    percents_without,
    rating_contributions,
    residuals,
    score,
)
from recommendations.algorithms.shapley import rounded
from recommendations.algorithms.similarity import kinship
from recommendations.algorithms.types import Array, History, Links, Movies, shrink
from recommendations.recommender import explanations
from recommendations.recommender.explanations import GenreAffinities, Opinion
from recommendations.recommender.queries import Candidates, Member, read_member, read_movies
from recommendations.recommender.results import Component, Counterfactual, Match, RatedMovie
from recommendations.selectors import MovieRow

#: So many of the member's ratings are named as evidence and as counterfactuals.
MAX_EVIDENCE = 3
#: Points of percent a rating must add or take to be evidence.
MIN_POINTS = 0.05
#: Movies that are less similar by genres and period have too little in common to be named together.
MIN_SIMILARITY = 0.25
#: Ratings of the member, and votes for the movie, that give half of their part of the confidence.
CONFIDENCE_HISTORY, CONFIDENCE_VOTES = 10.0, 50.0


def compute_matches(user: User, movie_ids: Sequence[int], *, explained: bool = True) -> list[Match]:
    """Return the match of each movie that exists, in this sequence, in three queries.

    Without `explained` there is no evidence of ratings, and there are no counterfactuals.
    """
    member = read_member(user, lists=False)
    return compute_member_matches(member, movie_ids, explained=explained)


def compute_member_matches(
    member: Member, movie_ids: Sequence[int], *, explained: bool = True
) -> list[Match]:
    """Return the match of each movie that exists, in two queries."""
    candidates = read_movies(member.head, movie_ids)
    index_of = {movie_id: index for index, movie_id in enumerate(candidates.movies.ids.tolist())}
    indices = [index_of[movie_id] for movie_id in movie_ids if movie_id in index_of]
    if not indices:
        return []
    history, movies, head = member.history, candidates.movies, member.head
    feed = candidates.feed.from_targets(head, history.movies.ids)
    taste = candidates.taste.from_targets(head, history.movies.ids)
    scores = score(history, movies, feed, taste, head.coefficients)
    targets = [
        _Target(movies[np.array([index])], _select(feed, index), _select(taste, index))
        for index in indices
    ]
    contributions = [_find_contributions(member, each) if explained else {} for each in targets]
    named = [int(history.movies.ids[index]) for some in contributions for index in some]
    rows, names = explanations.read_movies_with_people(movies.ids[indices].tolist(), named)
    affinities = compute_affinities(member)
    matches = []
    for index, target, contribution in zip(indices, targets, contributions, strict=True):
        row = rows.get(int(movies.ids[index]))
        if row is None:
            continue  # deleted since the query before
        percent = round(float(scores.percent[index]), 1)
        points = {part: float(scores.parts[part][index]) for part in PARTS}
        support, objections = _split_by_direction(member, contribution, rows)
        evidence = {
            "genre_affinity": explanations.describe_genres(row, affinities, history.favorites),
            "rating_history": [
                *explanations.describe_opinions(row, support, objections, names),
                *explanations.describe_generosity(history.n, generosity(history)),
            ],
            "popularity": [explanations.describe_votes(row)],
        }
        baseline, rounded_points = rounded(scores.baseline, list(points.values()), percent)
        total = sum(abs(value) for value in points.values()) or 1.0
        matches.append(
            Match(
                movie_id=row.id,
                title=row.title,
                match_score=percent,
                confidence=compute_confidence(history.n, row.rating_count + row.vote_count),
                baseline=baseline,
                components={
                    part: Component(value, round(abs(points[part]) / total, 2), evidence[part])
                    for part, value in zip(PARTS, rounded_points, strict=True)
                },
                because=explanations.summarize(points=points, evidence=evidence),
                counterfactuals=_compute_counterfactuals(
                    member, target, contribution, rows, percent
                ),
                algorithm=head.algorithm,
            )
        )
    return matches


def compute_percents(member: Member, candidates: Candidates) -> Array:
    """(m,) Return the match score of each movie, rounded as in a match."""
    history, head = member.history, member.head
    feed = candidates.feed.from_targets(head, history.movies.ids)
    taste = candidates.taste.from_targets(head, history.movies.ids)
    return np.round(percents(history, candidates.movies, feed, taste, head.coefficients), 1)


def compute_confidence(ratings: int, votes: int) -> float:
    """Return how much the score rests on, 0 to 1, from the member's ratings and the movie's votes."""
    return round(
        0.8 * shrink(ratings, CONFIDENCE_HISTORY) + 0.2 * shrink(votes, CONFIDENCE_VOTES), 2
    )


def compute_affinities(member: Member) -> GenreAffinities:
    """Return how far above expectation the member rates the movies of each genre."""
    history, rated = member.history, member.history.rated
    genres = history.movies.genres[rated].astype(np.float64)
    residual = residuals(history, member.head.totals)[rated]
    counts = genres.sum(axis=0)
    return GenreAffinities(
        above_expectation=residual @ genres / (counts + GENRE_SHRINKAGE),
        counts=counts,
        mean_stars=history.stars[rated] @ genres / np.maximum(counts, 1),
    )


def opinion_of(member: Member, index: int, rows: Mapping[int, MovieRow]) -> Opinion | None:
    """Return what the member said about a movie of their history; None if `rows` does not have it."""
    history = member.history
    row = rows.get(int(history.movies.ids[index]))
    if row is None:
        return None
    stars = float(history.stars[index]) if history.rated[index] else None
    return Opinion(row, stars, more=bool(history.wants[index] > 0))


def find_similarities(history: History, movie: Movies) -> Array:
    """(n,) Return the similarity of one movie by genres and period to each other movie of the history.

    It is 0 below MIN_SIMILARITY.
    """
    similarity = kinship(movie, history.movies)[0]
    is_similar = (similarity >= MIN_SIMILARITY) & (history.movies.ids != movie.ids[0])
    return np.where(is_similar, similarity, 0.0)


@dataclass(frozen=True)
class _Target:
    """One movie to score, with the links to it."""

    movie: Movies
    feed: Links
    taste: Links


def _select(links: Links, index: int) -> Links:
    """Return the links to one movie, as if it were the only one."""
    chosen = links.movies == index
    rated = links.rated[chosen]
    return Links(np.zeros_like(rated), rated, links.weights[chosen])


def _find_contributions(member: Member, target: _Target) -> dict[int, float]:
    """Return the points of percent of the ratings that moved the score most, by place in the history.

    If the training links no rating to the movie, it is the similarity of the most similar movies,
    negative for those that speak against it.
    """
    points = rating_contributions(
        member.history, target.movie, target.feed, target.taste, member.head.coefficients
    )
    if not points.any():
        direction = np.where(explanations.find_supporting(member.history), 1.0, -1.0)
        points = find_similarities(member.history, target.movie) * direction
    order = np.argsort(-np.abs(np.round(points, 9)), kind="stable")
    return {int(index): float(points[index]) for index in order[:MAX_EVIDENCE]}


def _split_by_direction(
    member: Member, contribution: Mapping[int, float], rows: Mapping[int, MovieRow]
) -> tuple[list[Opinion], list[Opinion]]:
    """Return the liked movies that raised the score, and the disliked ones that lowered it."""
    can_support = explanations.find_supporting(member.history)
    support, objections = [], []
    for index, points in contribution.items():
        opinion = opinion_of(member, index, rows)
        if opinion is None or abs(points) < MIN_POINTS:
            continue
        if points > 0 and can_support[index]:
            support.append(opinion)
        elif points < 0 and not can_support[index]:
            objections.append(opinion)
    return support, objections


def _compute_counterfactuals(
    member: Member,
    target: _Target,
    contribution: Mapping[int, float],
    rows: Mapping[int, MovieRow],
    match_score: float,
) -> list[Counterfactual]:
    """Return the score without each of these ratings, greatest difference first; exact, by fold-in."""
    history = member.history
    rated = [
        index
        for index in contribution
        if history.rated[index] and int(history.movies.ids[index]) in rows
    ]
    without = percents_without(
        history, target.movie, rated, target.feed, target.taste, member.head.coefficients
    )
    counterfactuals = [
        Counterfactual(
            movie=RatedMovie(row.id, row.title),
            your_score=float(history.stars[index]),
            match_score_without=round(float(percent[0]), 1),
        )
        for index, percent in zip(rated, without, strict=True)
        for row in [rows[int(history.movies.ids[index])]]
    ]
    return sorted(counterfactuals, key=lambda each: -abs(each.match_score_without - match_score))
