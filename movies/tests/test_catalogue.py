import pytest

from movies.models import Movie, Person
from movies.services.catalogue import (
    movie_mark_removed,
    movie_reindex,
    movies_remove,
    people_remove,
    person_reindex,
)

pytestmark = pytest.mark.django_db


def test_removed_movie_takes_only_people_without_other_credits_with_it(make_movie):
    alien = make_movie("Alien", directors=["Ridley Scott"], cast=["Sigourney Weaver"])
    make_movie("Blade Runner", directors=["Ridley Scott"])

    counts = movies_remove(movie_ids=[alien.pk, 999_999])

    assert (counts.movies, counts.people) == (1, 1)
    assert list(Person.objects.values_list("name", flat=True)) == ["Ridley Scott"]


def test_marking_a_removed_movie_again_keeps_the_first_time(make_movie):
    movie = make_movie("Alien", source=Movie.Source.TMDB)

    movie_mark_removed(movie=movie)
    movie.refresh_from_db()
    first = movie.removed_at_source
    movie_mark_removed(movie=movie)
    movie.refresh_from_db()

    assert movie.removed_at_source == first is not None


def test_reindexed_movie_is_searchable_by_its_new_title(make_movie):
    movie = make_movie("Alien", directors=["Ridley Scott"])
    movie.title = "The Visitor"

    movie_reindex(movie=movie)

    movie.refresh_from_db()
    assert movie.sort_title == "visitor"
    assert "'visitor'" in movie.search_vector
    assert "'scott'" in movie.search_vector
    assert "'alien'" not in movie.search_vector


def test_reindexed_person_changes_the_search_words_of_every_movie(make_movie):
    movies = [make_movie(title, directors=["Ridly Scot"]) for title in ("Alien", "Gladiator")]
    person = Person.objects.get()
    person.name = "Ridley Scótt"
    person.save()

    person_reindex(person=person)

    assert person.folded_name == "ridley scott"
    for movie in movies:
        movie.refresh_from_db()
        assert "'ridley'" in movie.search_vector
        assert "'ridly'" not in movie.search_vector


def test_removed_person_leaves_the_search_words(make_movie):
    movie = make_movie("Alien", directors=["Ridley Scott"])

    people_remove(person_ids=[Person.objects.get().pk])

    movie.refresh_from_db()
    assert not movie.credits.exists()
    assert "'ridley'" not in movie.search_vector
