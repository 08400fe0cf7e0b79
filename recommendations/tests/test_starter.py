import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Sum
from django.utils import timezone

from accounts.models import User
from movies.dto import FIRST_OWN_COLLECTION_ID, MovieData
from movies.models import Collection, Credit, Movie, Person
from movies.services.upsert import movies_upsert
from nexus.dev.pytest_plugin import PASSWORD
from recommendations.datasets import starter
from recommendations.datasets.starter import (
    MoviesFileError,
    read_movies,
    sample_remove,
    starter_load,
)
from social.models import Playlist, PlaylistItem, Rating
from social.services.playlists import playlist_create
from social.services.ratings import rating_set

MEMBERS = 24


@pytest.fixture
def movies_file(tmp_path, monkeypatch):
    """Sixty of the starter movies, in the place of all."""
    lines = starter.MOVIES_FILE.read_text(encoding="utf-8").splitlines()[:60]
    path = tmp_path / "movies.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(starter, "MOVIES_FILE", path)
    return path


@pytest.fixture
def loaded(db, movies_file):
    return starter_load(path=movies_file, members=MEMBERS)


def run(command, *options):
    out = StringIO()
    call_command(command, *options, stdout=out, stderr=out)
    return out.getvalue()


def state():
    return tuple(
        list(model.objects.order_by("pk").values())
        for model in (Movie, Collection, Person, Credit, User, Rating, Playlist, PlaylistItem)
    )


def assert_counts_agree():
    for movie in Movie.objects.annotate(rated=Count("ratings"), stars=Sum("ratings__score")):
        assert (movie.rating_count, movie.rating_sum) == (movie.rated, movie.stars or 0)
        assert (movie.trend_week is None) == (movie.rated == 0)


def test_the_starter_file_holds_what_the_catalogue_takes():
    movies = read_movies()
    assert len(movies) >= 300
    assert len({movie.tmdb_id for movie in movies}) == len(movies)
    assert len({movie.imdb_id for movie in movies}) == len(movies)
    for movie in movies:
        assert movie.title
        assert movie.genres
        assert movie.directors
        assert movie.cast or "Documentary" in movie.genres or "Animation" in movie.genres


@pytest.mark.django_db
def test_the_whole_starter_catalogue_loads_and_a_second_run_changes_nothing():
    assert "would write: movies" in run("load_starter", "--dry-run").lower()
    assert state() == ([], [], [], [], [], [], [], [])
    out = run("load_starter")
    assert f"movies {Movie.objects.count()} new" in out
    assert "sample members 300 new, 0 known" in out
    assert f"{Rating.objects.count():,} ratings" in out
    assert Playlist.objects.count() == 40
    assert_counts_agree()
    before = state()
    assert "was there already; nothing was changed" in run("load_starter")
    assert state() == before


def test_the_movies_come_with_their_people_and_search_words(loaded):
    movie = Movie.objects.with_credits().get(tmdb_id=278)
    assert movie.source == Movie.Source.STARTER
    assert (movie.title, movie.release_year, movie.imdb_id) == (
        "The Shawshank Redemption",
        1994,
        "tt0111161",
    )
    assert movie.genres == ["Crime", "Drama"]
    directors = [each.person.name for each in movie.credits.all() if each.role == "director"]
    assert directors == ["Frank Darabont"]
    assert "shawshank" in movie.search_vector


def test_parts_of_a_series_are_in_one_collection_with_an_id_of_ours(loaded, api):
    parts = Movie.objects.filter(collection__name="Star Wars").order_by("release_date")
    part = parts[0]

    response = api.get(f"/movies/{part.pk}/")

    assert [movie.tmdb_id for movie in parts] == [11, 1891]
    assert part.collection.tmdb_id >= FIRST_OWN_COLLECTION_ID
    assert response.json()["collection"] == {
        "id": part.collection.pk,
        "tmdb_id": None,
        "name": "Star Wars",
    }


def test_every_series_of_the_starter_file_has_several_parts_and_one_name():
    collections = [movie.collection for movie in read_movies() if movie.collection]

    assert len({each.tmdb_id for each in collections}) == len(set(collections)) == 12
    assert all(collections.count(each) >= 2 for each in collections)


def test_the_community_is_marked_as_sample_and_public(loaded):
    members = User.objects.all()
    assert loaded.members_created == MEMBERS == len(members)
    for member in members:
        assert member.origin == User.Origin.SAMPLE
        assert member.username.startswith("sample-")
        assert (member.visibility, member.email) == ("public", "")
        assert member.bio == "A made-up member of the sample community."
        assert not member.has_usable_password()


def test_a_sample_member_cannot_log_in(loaded, api):
    name = User.objects.values_list("username", flat=True)[0]
    assert not api.login(username=name, password="")
    assert not api.login(username=name, password=PASSWORD)


def test_what_the_community_did_lies_within_the_last_days(loaded):
    now = timezone.now()
    for rating in Rating.objects.select_related("user"):
        assert now - timedelta(days=121) < rating.created_at < now
        assert rating.user.date_joined < rating.created_at
    for playlist in Playlist.objects.select_related("owner"):
        assert playlist.owner.date_joined < playlist.created_at < now
        places = list(playlist.items.values_list("position", flat=True))
        assert places == list(range(1, playlist.movie_count + 1))
    assert_counts_agree()


def test_a_load_after_a_killed_one_completes_it(loaded, movies_file):
    User.objects.filter(id__in=User.objects.order_by("id")[:5]).delete()
    again = starter_load(path=movies_file, members=MEMBERS)
    assert (again.members_created, again.members_known) == (5, MEMBERS - 5)
    assert User.objects.count() == MEMBERS
    assert_counts_agree()


def test_a_changed_movie_in_the_file_is_changed_in_the_catalogue(loaded, movies_file):
    lines = movies_file.read_text(encoding="utf-8").splitlines()
    movie = {**json.loads(lines[0]), "runtime": 7, "cast": ["Nobody Yet"]}
    movies_file.write_text("\n".join([json.dumps(movie), *lines[1:]]), encoding="utf-8")
    again = starter_load(path=movies_file, members=MEMBERS)
    assert (again.movies.created, again.movies.updated) == (0, 1)
    stored = Movie.objects.get(tmdb_id=movie["tmdb_id"])
    assert stored.runtime == 7
    assert [each.person.name for each in stored.credits.filter(role="cast")] == ["Nobody Yet"]


def test_a_name_that_somebody_else_has_is_left_alone(movies_file, make_user):
    name = starter.generate_community(read_movies(movies_file), members=MEMBERS)[0].username
    squatter = make_user(name.upper())
    loaded = starter_load(path=movies_file, members=MEMBERS)
    assert loaded.members_created == MEMBERS - 1
    assert loaded.names_taken == [name]
    assert not squatter.ratings.exists()
    sample_remove()
    assert list(User.objects.all()) == [squatter]


def test_a_broken_line_is_named_and_nothing_is_written(db, movies_file):
    with movies_file.open("a", encoding="utf-8") as file:
        file.write('{"tmdb_id": 1, "title": 5}\n')
    with pytest.raises(MoviesFileError, match="line 61: "):
        starter_load(path=movies_file)
    assert not Movie.objects.exists()


def test_a_missing_file_is_named(db, movies_file, monkeypatch):
    movies_file.unlink()
    with pytest.raises(MoviesFileError, match=r"movies\.jsonl cannot be read"):
        starter_load(path=movies_file)
    monkeypatch.setattr(
        "recommendations.management.commands.load_starter.starter_load",
        lambda *, dry_run: starter_load(path=movies_file, dry_run=dry_run),
    )
    with pytest.raises(CommandError, match=r"movies\.jsonl cannot be read"):
        run("load_starter")


def test_removal_takes_all_of_it_away(loaded):
    out = run("remove_sample_data")
    assert f"Removed: {MEMBERS} sample members with {loaded.ratings:,} ratings" in out
    assert f"{loaded.playlists} playlists; 60 movies and " in out
    assert "Stays" not in out
    assert state() == ([], [], [], [], [], [], [], [])


def test_a_dry_removal_takes_nothing_and_says_what_would_go(loaded):
    before = state()
    out = run("remove_sample_data", "--dry-run")
    assert f"Would remove: {MEMBERS} sample members" in out
    assert "60 movies" in out
    assert state() == before


def test_removal_can_leave_the_movies(loaded):
    out = run("remove_sample_data", "--keep-movies")
    assert "0 movies" in out
    assert "Stays: all movies" in out
    assert Movie.objects.count() == 60
    assert not User.objects.exists()
    assert_counts_agree()


def test_removal_keeps_what_members_and_other_sources_use(loaded, make_user, make_movie):
    ann = make_user("ann")
    rated, listed, synced, *_ = Movie.objects.order_by("id")
    rating_set(user_id=ann.id, movie_id=rated.id, score=4.5)
    playlist_create(owner=ann, name="Mine", movie_ids=[listed.id])
    facts = MovieData(title=synced.title, tmdb_id=synced.tmdb_id)
    movies_upsert(movies=[facts], source=Movie.Source.TMDB)
    other = make_movie("Not of the starter", source=Movie.Source.MANUAL)
    out = run("remove_sample_data")
    assert "; 57 movies and " in out
    assert "Stays: 1 movies in members' ratings." in out
    assert "Stays: 1 movies in members' playlist items." in out
    assert "Stays: 1 movies since taken over (TMDb)." in out
    kept = Movie.objects.order_by("id")
    assert [movie.id for movie in kept] == [rated.id, listed.id, synced.id, other.id]
    assert (kept[0].rating_count, kept[0].rating_sum) == (1, 4.5)
    assert kept[0].credits.exists()
    assert list(User.objects.all()) == [ann]
    assert list(Playlist.objects.values_list("owner", "movie_count")) == [(ann.id, 1)]
    assert_counts_agree()
