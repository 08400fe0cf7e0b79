"""Reasons and evidence as members read them."""

from __future__ import annotations

import numpy as np
import pytest

from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.types import History
from recommendations.recommender.explanations import (
    GenreAffinities,
    Opinion,
    describe_genres,
    describe_opinions,
    describe_votes,
    explain_recommendation,
    find_supporting,
)
from recommendations.tests.test_ranking import make_movies

NONE = np.zeros(len(GENRE_NAMES))
NO_GENRES = GenreAffinities(NONE, NONE, NONE)


def movie(movie_id, title, *genres, votes=0):
    return {
        "id": movie_id,
        "title": title,
        "genres": list(genres),
        "weighted_rating": 7.0,
        "rating_count": votes,
        "vote_count": 0,
    }


SHOWN = movie(1, "Shown", "Crime", "Drama")
HEIST = movie(2, "Heist", "Crime", "Drama")
CARS = movie(3, "Cars", "Crime")


def explain(support, objection=None, affinities=NO_GENRES):
    return explain_recommendation(
        SHOWN, support=support, objection=objection, affinities=affinities, favorites=NONE
    )


def affinities(**by_genre):
    """GenreAffinities from (stars above expectation, number of ratings, mean stars)."""
    columns = [NONE.copy() for _ in range(3)]
    for name, values in by_genre.items():
        for column, value in zip(columns, values, strict=True):
            column[GENRE_NAMES.index(name)] = value
    return GenreAffinities(*columns)


@pytest.mark.parametrize(
    ("support", "reasons"),
    [
        ([Opinion(HEIST, 4.5)], ["You gave Heist 4.5 stars."]),
        ([Opinion(HEIST, 4.0), Opinion(CARS, 5.0)], ["You liked Heist and Cars."]),
        ([Opinion(HEIST, 3.5), Opinion(CARS, 5.0)], ["You gave Cars 5 stars."]),
        ([Opinion(HEIST, 3.5), Opinion(CARS, 3.0)], ["You gave Heist 3.5 stars."]),
        (
            [Opinion(HEIST, 5.0), Opinion(movie(4, "Monsters, Inc."), 5.0)],
            ["You liked Heist and Monsters, Inc."],
        ),
        ([Opinion(CARS, None, more=True)], ["You asked for more like Cars."]),
        (
            [Opinion(CARS, None, more=True), Opinion(HEIST, 5.0)],
            ["You gave Heist 5 stars.", "You asked for more like Cars."],
        ),
        ([], []),
    ],
)
def test_reasons_name_the_liked_and_requested_movies(support, reasons):
    assert explain(support) == [*reasons, "Nobody has rated it yet."]


def test_disliked_movie_follows_after_although():
    reasons = explain([Opinion(HEIST, 4.5)], Opinion(CARS, 2.0))

    assert reasons[0] == "You gave Heist 4.5 stars, although you gave Cars 2 stars."


def test_objection_joins_the_only_reason():
    reasons = explain([], Opinion(CARS, None))

    assert reasons == ["Nobody has rated it yet, although you asked for less like Cars."]


def test_genre_rated_above_expectation_is_the_reason_if_no_movie_is():
    tastes = affinities(Crime=(0.4, 3, 4.5), Drama=(-0.3, 5, 2.0))

    assert explain([], affinities=tastes)[0] == "You gave 3 Crime movies 4.5 stars on average."


def test_disliked_movie_never_supports_another_one():
    history = History.of(make_movies(5), [5.0, 4.5, 4.0, 3.5, 1.0])

    # The mean is 3.6: 3.5 stars are under it, 1 star under any.
    assert find_supporting(history).tolist() == [True, True, True, False, False]


def test_movie_under_three_stars_never_supports_another_one_whatever_the_mean():
    history = History.of(make_movies(3), [2.5, 1.0, 3.0])

    assert find_supporting(history).tolist() == [False, False, True]


def test_evidence_names_what_two_movies_have_in_common():
    names = {(1, 2): ["A. Director", "B. Actor", "C. Actor"]}
    support = [Opinion(HEIST, 4.0), Opinion(CARS, None, more=True)]
    objections = [Opinion(movie(4, "Love"), None), Opinion(movie(5, "Hate", "Crime"), 1.0)]

    assert describe_opinions(SHOWN, support, objections, names) == [
        "You gave Heist 4 stars (both with A. Director and B. Actor; shared genres: Crime and Drama).",
        "You asked for more like Cars (shared genre: Crime).",
        "Although you asked for less like Love.",
        "Although you gave Hate 1 star (shared genre: Crime).",
    ]


def test_genres_are_compared_with_the_expectation():
    tastes = affinities(Crime=(-0.4, 1, 3.5), Drama=(0.2, 3, 4.0))

    assert describe_genres(SHOWN, tastes, NONE) == [
        "You gave the one Crime movie you rated 3.5 stars, less than expected.",
        "You gave 3 Drama movies 4.0 stars on average, more than expected.",
    ]


def test_votes_have_thousands_separators():
    row = movie(1, "Seen", votes=12_345)

    assert describe_votes(row) == "Weighted rating 7.0 of 10 from 12,345 votes."
