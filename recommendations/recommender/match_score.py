"""The match scores of movies for one member, with evidence and counterfactuals.

A view calls `compute_matches`. It reads the member and the movies (queries), scores them (algorithms),
and explains the scores (explanations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import FilteredRelation, Q

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms.match_score import (
    PARTS,
    generosity,
    percents,
    percents_without,
    rating_contributions,
    score,
)
from recommendations.algorithms.shapley import rounded
from recommendations.algorithms.types import Array, Links, Movies, shrink
from recommendations.recommender.explanations import (
    CreditRow,
    Opinion,
    compute_affinities,
    describe_generosity,
    describe_genres,
    describe_opinions,
    describe_votes,
    find_similarities,
    find_supporting,
    get_opinion,
    match_people,
    summarize,
)
from recommendations.recommender.queries import (
    LEADS,
    Candidates,
    Member,
    MovieRow,
    read_members,
    read_movies,
)

#: So many of the member's ratings are named as evidence and as counterfactuals.
MAX_EVIDENCE = 3
#: Points of percent a rating must add or take to be evidence.
MIN_POINTS = 0.05
#: Ratings of the member, and votes for the movie, that give half of their part of the confidence.
CONFIDENCE_HISTORY, CONFIDENCE_VOTES = 10.0, 50.0


@dataclass(frozen=True)
class Component:
    """One part of a match score."""

    points: float
    weight: float
    evidence: list[str]


@dataclass(frozen=True)
class RatedMovie:
    id: int
    title: str


@dataclass(frozen=True)
class Counterfactual:
    """The match score as it would be without one rating of the member."""

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


def compute_matches(user: User, movie_ids: Sequence[int], *, explained: bool = True) -> list[Match]:
    """Return the match of each movie that exists, in this sequence, in three queries.

    Without `explained` there is no evidence of ratings, and there are no counterfactuals.
    """
    [member] = read_members([user], targets=False)
    return compute_member_matches(member, movie_ids, explained=explained)


def compute_member_matches(
    member: Member, movie_ids: Sequence[int], *, explained: bool = True
) -> list[Match]:
    """Return the match of each movie that exists, in two queries."""
    candidates = read_movies(member.header, movie_ids)
    index_of = {movie_id: index for index, movie_id in enumerate(candidates.movies.ids.tolist())}
    indices = [index_of[movie_id] for movie_id in movie_ids if movie_id in index_of]
    if not indices:
        return []
    history, movies, header = member.history, candidates.movies, member.header
    rated = header.index(history.movies.ids)
    feed, taste = candidates.feed.links(rated), candidates.taste.links(rated)
    scores = score(history, movies, feed, taste, header.coefficients)
    targets = [
        _Target(movies[np.array([index])], _select(feed, index), _select(taste, index))
        for index in indices
    ]
    contributions = [_find_contributions(member, each) if explained else {} for each in targets]
    named = [int(history.movies.ids[index]) for some in contributions for index in some]
    shown = movies.ids[indices].tolist()
    rows, credited = _read_movies_with_people([*shown, *named])
    names = match_people(credited, set(shown), set(named))
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
            "genre_affinity": describe_genres(row, affinities, history.favorites),
            "rating_history": [
                *describe_opinions(row, support, objections, names),
                *describe_generosity(history.n, generosity(history)),
            ],
            "popularity": [describe_votes(row)],
        }
        baseline, rounded_points = rounded(scores.baseline, list(points.values()), percent)
        total = sum(abs(value) for value in points.values()) or 1.0
        matches.append(
            Match(
                movie_id=row["id"],
                title=row["title"],
                match_score=percent,
                confidence=compute_confidence(history.n, row["rating_count"] + row["vote_count"]),
                baseline=baseline,
                components={
                    part: Component(value, round(abs(points[part]) / total, 2), evidence[part])
                    for part, value in zip(PARTS, rounded_points, strict=True)
                },
                because=summarize(points=points, evidence=evidence),
                counterfactuals=_compute_counterfactuals(
                    member, target, contribution, rows, percent
                ),
                algorithm=header.algorithm,
            )
        )
    return matches


def compute_percents(member: Member, candidates: Candidates) -> Array:
    """(m,) Return the match score of each movie, rounded as in a match."""
    history, header = member.history, member.header
    index = header.index(history.movies.ids)
    feed, taste = candidates.feed.links(index), candidates.taste.links(index)
    return np.round(percents(history, candidates.movies, feed, taste, header.coefficients), 1)


def compute_confidence(ratings: int, votes: int) -> float:
    """Return how much the score rests on, 0 to 1, from the member's ratings and the movie's votes."""
    return round(
        0.8 * shrink(ratings, CONFIDENCE_HISTORY) + 0.2 * shrink(votes, CONFIDENCE_VOTES), 2
    )


def _read_movies_with_people(
    movie_ids: Sequence[int],
) -> tuple[dict[int, MovieRow], list[CreditRow]]:
    """Return the movies that exist by id, and their leading people, directors first. One query."""
    columns = ("id", "title", "genres", "weighted_rating", "rating_count", "vote_count")
    leads = FilteredRelation("credits", condition=Q(credits__position__lt=LEADS))
    found = Movie.objects.annotate(lead=leads).filter(id__in=set(movie_ids))
    rows: dict[int, MovieRow] = {}
    credited = []
    for *values, person_id, name in found.order_by("-lead__role", "lead__position").values_list(
        *columns, "lead__person_id", "lead__person__name"
    ):
        row = dict(zip(columns, values, strict=True))
        rows[row["id"]] = row
        if person_id is not None:
            credited.append((row["id"], person_id, name))
    return rows, credited


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
        member.history, target.movie, target.feed, target.taste, member.header.coefficients
    )
    if not points.any():
        direction = np.where(find_supporting(member.history), 1.0, -1.0)
        points = find_similarities(member.history, target.movie) * direction
    order = np.argsort(-np.abs(np.round(points, 9)), kind="stable")
    return {int(index): float(points[index]) for index in order[:MAX_EVIDENCE]}


def _split_by_direction(
    member: Member, contribution: Mapping[int, float], rows: Mapping[int, MovieRow]
) -> tuple[list[Opinion], list[Opinion]]:
    """Return the liked movies that raised the score, and the disliked ones that lowered it."""
    can_support = find_supporting(member.history)
    support, objections = [], []
    for index, points in contribution.items():
        opinion = get_opinion(member, index, rows)
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
        history, target.movie, rated, target.feed, target.taste, member.header.coefficients
    )
    counterfactuals = [
        Counterfactual(
            movie=RatedMovie(row["id"], row["title"]),
            your_score=float(history.stars[index]),
            match_score_without=round(float(percent[0]), 1),
        )
        for index, percent in zip(rated, without, strict=True)
        for row in [rows[int(history.movies.ids[index])]]
    ]
    return sorted(counterfactuals, key=lambda each: -abs(each.match_score_without - match_score))
