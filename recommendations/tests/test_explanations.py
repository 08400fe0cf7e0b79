"""What a score rests on, as members read it."""

from __future__ import annotations

import numpy as np
import pytest

from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.heuristic import Affinities
from recommendations.recommender.explanations import Told, of_feed, of_genres, of_movies, of_votes
from recommendations.selectors import MovieRow

NONE = np.zeros(len(GENRE_NAMES))


def movie(movie_id, title, *genres, votes=0):
    return MovieRow(movie_id, title, list(genres), 2001, 7.0, votes, 0, 0.0)


SHOWN = movie(1, "Shown", "Crime", "Drama")
HEIST = movie(2, "Heist", "Crime", "Drama")
CARS = movie(3, "Cars", "Crime")


@pytest.mark.parametrize(
    ("speaking", "said"),
    [
        ([Told(HEIST, 4.5)], ["You gave Heist 4.5 stars."]),
        ([Told(HEIST, 4.0), Told(CARS, 5.0)], ["You liked Heist and Cars."]),
        ([Told(CARS, None, more=True)], ["You asked for more like Cars."]),
        (
            [Told(CARS, None, more=True), Told(HEIST, 5.0)],
            ["You gave Heist 5 stars.", "You asked for more like Cars."],
        ),
        ([Told(CARS, 2.0)], ["Often liked by those who have rated Cars, as you have."]),
        ([Told(CARS, 2.0), Told(HEIST, 4.0)], ["You gave Heist 4 stars."]),
        ([], []),
    ],
)
def test_reasons_name_what_was_liked_or_asked_for(speaking, said):
    assert of_feed(SHOWN, speaking, NONE) == [*said, "Nobody has rated it yet."]


def test_evidence_says_what_two_movies_have_in_common():
    told = [Told(HEIST, 1.0), Told(CARS, None, more=True), Told(movie(4, "Love"), None)]
    assert of_movies(SHOWN, told, {(1, 2): ["A. Director", "B. Actor", "C. Actor"]}) == [
        "You gave Heist 1 star (both with A. Director and B. Actor; shared genres: Crime and Drama).",
        "You asked for more like Cars (shared genre: Crime).",
        "You asked for less like Love.",
    ]


def test_genres_are_held_against_what_was_expected():
    above, counts, stars = NONE.copy(), NONE.copy(), NONE.copy()
    crime, drama = GENRE_NAMES.index("Crime"), GENRE_NAMES.index("Drama")
    above[crime], counts[crime], stars[crime] = -0.4, 1, 3.5
    above[drama], counts[drama], stars[drama] = 0.2, 3, 4.0
    assert of_genres(SHOWN, Affinities(genre=above, counts=counts, mean_stars=stars), NONE) == [
        "You gave the one Crime movie you rated 3.5 stars, less than expected.",
        "You gave 3 Drama movies 4.0 stars on average, more than expected.",
    ]


def test_many_votes_are_written_to_be_read():
    assert of_votes(movie(1, "Seen", votes=12_345)) == [
        "Weighted rating 7.0 of 10 from 12,345 votes."
    ]
