"""Case 24 for similar movies: no part of a series is offered before an earlier part."""

from datetime import date

import pytest

from movies.models import Collection, Movie
from recommendations.recommender.similar import find_similar

pytestmark = pytest.mark.django_db


@pytest.fixture
def movies(make_movie):
    """A western, and a trilogy of which the later the part, the more it has in common with it."""
    target = make_movie(
        "Dust", genres=["Western", "Action"], release_date=date(1990, 1, 1), directors=["Ada Quill"]
    )
    trilogy = [
        make_movie("Rails", genres=["Western"], release_date=date(1970, 1, 1)),
        make_movie("Rails II", genres=["Western", "Action"], release_date=date(1980, 1, 1)),
        make_movie("Rails III", genres=["Western", "Action"], release_date=date(1990, 1, 1), directors=["Ada Quill"]),
    ]  # fmt: skip
    other = make_movie("Ridge", genres=["Western", "Action"], release_date=date(1989, 1, 1))
    series = Collection.objects.create(tmdb_id=77, name="Rails Collection")
    Movie.objects.filter(pk__in=[movie.pk for movie in trilogy]).update(collection=series)
    return target, trilogy, other


def test_first_part_stands_where_the_most_similar_part_would(movies):
    target, trilogy, other = movies

    similar = [item.movie_id for item in find_similar(target)[:10]]

    # By similarity it would be Rails III, Ridge, Rails II; no list has the first part.
    assert similar == [trilogy[0].pk, other.pk, trilogy[1].pk, trilogy[2].pk]
    assert all(item.reasons for item in find_similar(target)[:10])


def test_next_part_stands_first_for_a_member_who_has_seen_the_first(movies, make_user, client_of):
    target, trilogy, other = movies
    ann = make_user("ann")
    client_of(ann).post("/ratings/", {"movie": trilogy[0].pk, "score": 4})

    similar = [item.movie_id for item in find_similar(target, exclude_seen_by=ann)[:10]]

    assert similar == [trilogy[1].pk, other.pk, trilogy[2].pk]


def test_later_parts_of_the_movie_itself_follow_each_other(movies):
    _, trilogy, _ = movies

    similar = [item.movie_id for item in find_similar(trilogy[0])[:10]]

    assert similar.index(trilogy[1].pk) < similar.index(trilogy[2].pk)


def test_series_whose_first_part_is_not_similar_comes_last(movies):
    target, trilogy, other = movies
    Movie.objects.filter(pk=trilogy[0].pk).update(
        genres=["Music"], release_year=1900, release_date=date(1900, 1, 1)
    )

    similar = [item.movie_id for item in find_similar(target)[:10]]

    assert similar == [other.pk, trilogy[2].pk, trilogy[1].pk]
