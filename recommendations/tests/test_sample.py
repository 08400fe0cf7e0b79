from collections import Counter
from datetime import date, timedelta
from statistics import correlation, mean

import pytest
from django.core.exceptions import ValidationError

from accounts.models import User
from movies.dto import MovieData
from nexus.core.genres import GENRE_NAMES
from recommendations.datasets.starter import read_movies
from recommendations.datasets.synthetic_community import (
    ARCHETYPES,
    MEMBERS,
    PLAYLISTS,
    generate_community,
)


@pytest.fixture(scope="module")
def movies():
    return read_movies()


@pytest.fixture(scope="module")
def members(movies):
    return generate_community(movies)


def agreement(one, other):
    """The correlation of two members' scores of the movies both have rated; None for too few."""
    first = {rating.movie: rating.score for rating in one.ratings}
    second = {rating.movie: rating.score for rating in other.ratings}
    both = sorted(first.keys() & second.keys())
    if len(both) < 8:
        return None
    scores = [first[movie] for movie in both], [second[movie] for movie in both]
    return None if any(len(set(each)) == 1 for each in scores) else correlation(*scores)


def test_the_same_seed_gives_the_same_community_and_another_seed_another(movies):
    assert generate_community(movies, members=20) == generate_community(movies, members=20)
    assert generate_community(movies, members=20) != generate_community(movies, members=20, seed=1)


def test_the_community_has_the_size_and_spread_asked_for(movies, members):
    ratings = [rating for member in members for rating in member.ratings]
    assert len(members) == len({member.username for member in members}) == MEMBERS
    assert 10_000 <= len(ratings) <= 14_000
    assert all(15 <= len(member.ratings) <= 80 for member in members)
    assert {rating.score for rating in ratings} <= {half / 2 for half in range(2, 11)}
    assert 0.4 < mean(rating.score >= 4 for rating in ratings) < 0.6
    assert 0.02 < mean(bool(rating.review) for rating in ratings) < 0.04
    assert sum(len(member.playlists) for member in members) == PLAYLISTS
    assert all(timedelta(0) < rating.age <= timedelta(days=120) for rating in ratings)
    assert all(rating.age < member.joined for member in members for rating in member.ratings)
    assert all(len({each.movie for each in m.ratings}) == len(m.ratings) for m in members)


def test_sample_members_like_genres_that_exist_and_have_names_that_nobody_can_register(members):
    validator = User._meta.get_field("username").validators[0]
    for member in members:
        validator(member.username.removeprefix("sample-"))
        with pytest.raises(ValidationError, match="reserved"):
            validator(member.username)
        assert 1 <= len(member.favorite_genres) <= 3
        assert set(member.favorite_genres) <= set(GENRE_NAMES)
    assert {name for each in ARCHETYPES for name in each.genres} <= set(GENRE_NAMES)


def test_members_of_one_taste_agree_more_than_others(members):
    pairs = [
        (one % len(ARCHETYPES) == other % len(ARCHETYPES), agreement(members[one], members[other]))
        for one in range(96)
        for other in range(one)
    ]
    alike = mean(value for same, value in pairs if same and value is not None)
    others = mean(value for same, value in pairs if not same and value is not None)
    assert alike > 0.4
    assert alike > others + 0.25


def test_the_widely_known_is_seen_more_and_the_trend_is_not_the_same_list(movies, members):
    seen = Counter(rating.movie for member in members for rating in member.ratings)
    assert sum(seen[movie] for movie in range(50)) > 2 * sum(
        seen[movie] for movie in range(len(movies) - 50, len(movies))
    )
    lately = Counter(
        rating.movie
        for member in members
        for rating in member.ratings
        if rating.age < timedelta(days=7)
    )
    popular = {movie for movie, _ in seen.most_common(10)}
    assert len(popular - {movie for movie, _ in lately.most_common(10)}) >= 3


def test_few_or_bare_movies_are_no_trouble():
    bare = [MovieData(title="One"), MovieData(title="Two", release_date=date(1990, 1, 1))]
    assert len(generate_community([], members=3)) == 3
    assert all(len(member.ratings) == 2 for member in generate_community(bare, members=30))
