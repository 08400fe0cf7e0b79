"""Translations: from TMDb's response to the response of this service."""

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from movies.models import GenreName, Movie, Translation
from nexus.core.genres import TMDB_GENRES
from tmdb.fake.movies import FIRST_GENERATED_ID, generate_movie
from tmdb.parsers import (
    MAX_TRANSLATED_OVERVIEW,
    parse_genre_list,
    parse_movie,
    parse_primary_translations,
)
from tmdb.services import movie_import
from tmdb.tasks import sync_genre_names

pytestmark = pytest.mark.django_db


def parse_with(translations):
    document = {**generate_movie(FIRST_GENERATED_ID), "translations": translations}
    return parse_movie(document, tmdb_id=FIRST_GENERATED_ID).translations


def entry(language, region, **texts):
    return {"iso_639_1": language, "iso_3166_1": region, "data": texts}


def test_translations_are_parsed_without_american_english_and_empty_ones():
    translations = parse_with(
        {
            "translations": [
                entry("en", "US", title="The Jetty"),
                entry("en", "GB", title="The Pier"),
                entry("de", "DE", title=" Der Steg ", overview=None, tagline="Nass.\x00"),
                entry("de", "DE", title="Ein zweiter"),
                entry("fr", "FR", title="", overview="", tagline=""),
                entry("xx", "", overview="o" * (MAX_TRANSLATED_OVERVIEW + 5)),
                entry("german", "DE", title="x"),
                entry("de", "Germany", title="x"),
                entry("it", "IT", title=5),
                {"iso_639_1": "sv", "iso_3166_1": "SE", "data": None},
                {"iso_639_1": 5},
                "sv",
                None,
            ]
        }
    )

    assert [
        (one.language, one.region, one.title, one.overview[:5], one.tagline) for one in translations
    ] == [
        ("en", "GB", "The Pier", "", ""),
        ("de", "DE", "Der Steg", "", "Nass."),
        ("xx", "", "", "ooooo", ""),
    ]
    assert len(translations[2].overview) == MAX_TRANSLATED_OVERVIEW


def test_a_movie_has_a_bounded_number_of_translations():
    many = [entry(f"a{chr(97 + n % 26)}", f"A{chr(65 + n // 26)}", title="x") for n in range(400)]

    assert len(parse_with({"translations": many})) == 150


def test_a_response_without_translations_leaves_the_stored_ones():
    assert parse_with(None) is None
    assert parse_with({"translations": None}) == ()


def test_lists_of_genres_and_languages_are_parsed_leniently():
    assert parse_genre_list({"genres": [{"id": 80, "name": "Krimi"}, {"id": 0}, 5]}) == [
        (80, "Krimi")
    ]
    assert parse_primary_translations({"results": ["pt-BR", "de-DE", "xx", 5, None]}) == [
        ("pt", "BR"),
        ("de", "DE"),
    ]


def test_an_import_is_one_request_and_shows_the_movie_in_each_language(api, tmdb_server):
    movie_id = movie_import(tmdb_id=FIRST_GENERATED_ID + 1).movie.pk
    assert len(tmdb_server.requests) == 1
    stored = Movie.objects.get(pk=movie_id)

    german = api.get(f"/movies/{movie_id}/?language=de")
    brazilian = api.get(f"/movies/{movie_id}/?language=pt-BR")
    japanese = api.get("/movies/", {"search": "秘密2", "language": "ja"})

    assert german.json()["title"] == "Blasebalg 2"
    assert german["Content-Language"] == "de"
    assert brazilian.json()["title"] == "O mistério 2"
    assert brazilian.json()["overview"] == "Uma noite, um enigma."
    assert brazilian.json()["tagline"] == stored.tagline
    assert brazilian["Content-Language"] == "pt-BR, pt, en"
    assert [movie["title"] for movie in japanese.json()["results"]] == ["渡し船の秘密2"]


def test_a_refresh_replaces_the_translations_and_a_list_entry_keeps_them(tmdb_server, api):
    tmdb_id = FIRST_GENERATED_ID + 1
    movie_id = movie_import(tmdb_id=tmdb_id).movie.pk
    tmdb_server.changed_fields[tmdb_id] = {
        "translations": {"translations": [entry("sv", "SE", title="Bryggan")]}
    }

    movie_import(tmdb_id=tmdb_id, refresh=True)

    assert list(Translation.objects.values_list("language", "title")) == [("sv", "Bryggan")]
    for text, ids in (("bryggan", [movie_id]), ("Blasebalg", [])):
        results = api.get("/movies/", {"search": text}).json()["results"]
        assert [movie["id"] for movie in results] == ids
    api.get("/movies/trending/")
    assert [movie["id"] for movie in api.get("/movies/?search=bryggan").json()["results"]] == [
        movie_id
    ]


def test_the_first_import_fetches_the_names_of_genres_once(tmdb_server, run_jobs, api):
    movie_import(tmdb_id=FIRST_GENERATED_ID)
    movie_import(tmdb_id=FIRST_GENERATED_ID + 1)
    jobs = ProcrastinateJob.objects.filter(task_name="tmdb.tasks.sync_genre_names")
    assert jobs.count() == 1

    assert run_jobs() == []
    movie_import(tmdb_id=FIRST_GENERATED_ID + 2)

    assert jobs.filter(status="todo").count() == 0
    assert GenreName.objects.filter(language="de").count() == len(TMDB_GENRES)
    names = {genre["tmdb_id"]: genre["name"] for genre in api.get("/genres/?language=de").json()}
    assert names[TMDB_GENRES["Crime"]] == "Krimi"
    movie = api.get("/movies/?language=ja").json()["results"][0]
    english = api.get("/movies/").json()["results"][0]
    assert movie["genres"] != english["genres"]


def test_names_of_genres_stay_while_tmdb_fails(tmdb_server, settings):
    sync_genre_names(timestamp=0)
    before = GenreName.objects.count()
    tmdb_server.set_mode("500")

    with pytest.raises(Exception, match="500"):
        sync_genre_names(timestamp=0)

    assert GenreName.objects.count() == before > 0
    settings.TMDB_TOKEN = ""
    sync_genre_names(timestamp=0)
