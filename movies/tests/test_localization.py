"""Titles, overviews, taglines and genre names in the language of a request."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from movies.dto import TranslationData
from movies.localization import MoviePayload
from movies.models import GenreName, Movie, Translation
from movies.views import LocalizedViewSet
from nexus.core.api.views import ApiViewSet
from nexus.core.languages import find_nearest_languages, parse_language_tag

pytestmark = pytest.mark.django_db

TRANSLATIONS = (
    TranslationData("de", "DE", "Der Lotse", "Ein Boot fährt.", "Ahoi."),
    TranslationData("de", "AT", "Der Steuermann", "", ""),
    TranslationData("fr", "FR", "", "Un bateau part.", ""),
    TranslationData("pt", "PT", "O piloto", "Um barco parte.", ""),
    TranslationData("pt", "BR", "O prático", "", ""),
    TranslationData("ja", "JP", "水先案内人", "", ""),
    TranslationData("en", "GB", "The Harbour Pilot", "", ""),
)


@pytest.fixture
def movie(make_movie):
    for language, region, name in (
        ("de", "DE", "Krimi"),
        ("pt", "BR", "Policial"),
        ("pt", "PT", "Crime (PT)"),
    ):
        GenreName.objects.create(genre="Crime", language=language, region=region, name=name)
    return make_movie(
        "The Harbor Pilot",
        original_title="El práctico",
        original_language="es",
        genres=["Crime", "Drama"],
        overview="A boat leaves.",
        tagline="Ahoy.",
        translations=TRANSLATIONS,
        source=Movie.Source.TMDB,
    )


@pytest.mark.parametrize(
    ("language", "texts", "served"),
    [
        ("de", ("Der Lotse", "Ein Boot fährt.", "Ahoi.", ["Krimi", "Drama"]), "de"),
        ("DE-de", ("Der Lotse", "Ein Boot fährt.", "Ahoi.", ["Krimi", "Drama"]), "de-DE"),
        (
            "de-AT",
            ("Der Steuermann", "Ein Boot fährt.", "Ahoi.", ["Krimi", "Drama"]),
            "de-AT, de",
        ),
        ("de-CH", ("Der Lotse", "Ein Boot fährt.", "Ahoi.", ["Krimi", "Drama"]), "de"),
        ("fr", ("The Harbor Pilot", "Un bateau part.", "Ahoy.", ["Crime", "Drama"]), "fr, en"),
        (
            "pt-BR",
            ("O prático", "Um barco parte.", "Ahoy.", ["Policial", "Drama"]),
            "pt-BR, pt, en",
        ),
        ("pt", ("O piloto", "Um barco parte.", "Ahoy.", ["Crime (PT)", "Drama"]), "pt, en"),
        ("es-MX", ("El práctico", "A boat leaves.", "Ahoy.", ["Crime", "Drama"]), "es, en"),
        ("sv", ("The Harbor Pilot", "A boat leaves.", "Ahoy.", ["Crime", "Drama"]), "en"),
        ("en", ("The Harbor Pilot", "A boat leaves.", "Ahoy.", ["Crime", "Drama"]), "en"),
        (
            "en-GB",
            ("The Harbour Pilot", "A boat leaves.", "Ahoy.", ["Crime", "Drama"]),
            "en-GB, en",
        ),
        ("en-AU", ("The Harbor Pilot", "A boat leaves.", "Ahoy.", ["Crime", "Drama"]), "en"),
    ],
)
def test_each_text_is_in_the_language_or_falls_back(api, movie, language, texts, served):
    response = api.get(f"/movies/{movie.id}/", {"language": language})

    body = response.json()
    assert tuple(body[name] for name in ("title", "overview", "tagline", "genres")) == texts
    assert body["original_title"] == "El práctico"
    assert response["Content-Language"] == served


def test_responses_without_a_language_are_english(api, movie):
    response = api.get("/movies/")

    assert response.json()["results"][0]["title"] == "The Harbor Pilot"
    assert response["Content-Language"] == "en"


def test_a_list_takes_one_more_query_and_none_for_english(api, movie, make_movie):
    make_movie("Untranslated")
    for number in range(10):
        make_movie(f"Number {number}", translations=TRANSLATIONS)

    counts = {}
    for language in ("", "en", "en-US", "de", "pt-BR"):
        with CaptureQueriesContext(connection) as queries:
            response = api.get("/movies/", {"language": language} if language else {})
        assert response.status_code == 200
        counts[language] = len(queries)

    assert counts == {"": 2, "en": 2, "en-US": 2, "de": 3, "pt-BR": 3}
    response = api.get("/movies/", {"language": "de"})
    assert response["Content-Language"] == "de, en"
    titles = [one["title"] for one in response.json()["results"]]
    assert titles.count("Der Lotse") == 11
    assert "Untranslated" in titles


def test_an_empty_list_is_in_the_language_that_was_asked_for(api):
    assert api.get("/movies/?language=pt-br")["Content-Language"] == "pt-BR"


def test_genres_are_named_in_the_language(api, movie):
    response = api.get("/genres/?language=de")

    names = {genre["tmdb_id"]: genre["name"] for genre in response.json()}
    assert names[80] == "Krimi"
    assert names[18] == "Drama"
    assert response["Content-Language"] == "de, en"
    assert api.get("/genres/")["Content-Language"] == "en"


def test_movies_are_found_by_translated_titles(api, movie, make_movie):
    make_movie("Der Lotse und das Meer", popularity=900.0)

    for text, languages in (("lotse", ["", "de"]), ("案内人", [""]), ("pratico", ["pt-BR"])):
        for language in languages:
            query = {"search": text, **({"language": language} if language else {})}
            results = api.get("/movies/", query).json()["results"]
            assert movie.id in [one["id"] for one in results], query

    def find_first(**query):
        return api.get("/movies/", {"search": "Der Lotse", **query}).json()["results"][0]["id"]

    assert find_first(language="de") == movie.id
    assert find_first(language="de", ordering="relevance") == movie.id
    assert find_first(language="fr") != movie.id


def test_translations_that_expired_are_not_shown_and_deleted(api, movie):
    from movies.services.translations import expired_translations_delete

    old = timezone.now() - timedelta(days=181)
    Translation.objects.filter(language="de").update(synced_at=old)

    assert api.get(f"/movies/{movie.id}/?language=de").json()["title"] == "The Harbor Pilot"
    assert expired_translations_delete() == 2
    assert Translation.objects.count() == len(TRANSLATIONS) - 2


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("german", "de (German)"),
        ("xq", "xh (Xhosa)"),
        ("pt_BR", "pt (Portuguese)"),
        ("deu", "de (German)"),
        ("de-", "de (German)"),
        ("", "not be blank"),
        ("١٢", "such as de or pt-BR"),
        ("x" * 21, "'xxxxxxxxxxxxxxxxxxxx'."),
    ],
)
def test_an_unknown_language_is_a_400_with_the_nearest_ones(api, language, hint):
    for path in ("/movies/", "/genres/"):
        response = api.get(path, {"language": language})

        assert response.status_code == 400
        assert hint in response.json()["errors"]["language"][0]["message"]
        assert "Content-Language" not in response


def test_cached_responses_of_languages_are_apart(api, movie, settings):
    settings.RESPONSE_CACHE_TTL_S = 60
    path = f"/movies/{movie.id}/"

    responses = {
        language: [api.get(path, {"language": language}) for _ in range(2)]
        for language in ("de", "pt", "en")
    }

    for first, second in responses.values():
        assert (first.content, first["ETag"]) == (second.content, second["ETag"])
        assert first["Content-Language"] == second["Content-Language"]
        assert second.has_header("Age")
    assert len({first["ETag"] for first, _ in responses.values()}) == 3
    stale = api.get(path, {"language": "pt"}, HTTP_IF_NONE_MATCH=responses["de"][0]["ETag"])
    assert stale.status_code == 200


def test_responses_about_a_member_are_in_the_language_of_the_profile(make_user, client_of, movie):
    member = client_of(make_user("ann"))
    assert member.patch("/profiles/me/", {"language": "PT-br"}).json()["language"] == "pt-BR"

    member.put(f"/watchlist/{movie.id}/")
    own = member.get("/watchlist/")
    asked = member.get("/watchlist/?language=de")
    catalogue = member.get("/movies/")

    assert own.json()["results"][0]["movie"]["title"] == "O prático"
    assert own["Content-Language"] == "pt-BR"
    assert asked.json()["results"][0]["movie"]["title"] == "Der Lotse"
    assert catalogue.json()["results"][0]["title"] == "The Harbor Pilot"
    assert member.patch("/profiles/me/", {"language": "tlh"}).status_code == 400
    assert member.patch("/profiles/me/", {"language": ""}).json()["language"] == ""
    assert member.get("/watchlist/")["Content-Language"] == "en"


def test_each_view_that_shows_movies_is_localized():
    actions = [
        (view, name)
        for view in ApiViewSet.__subclasses__() + LocalizedViewSet.__subclasses__()
        for name, action in vars(view).items()
        if getattr(action, "contract", None) and action.contract.is_localized
    ]

    assert len(actions) > 20
    assert [
        (view.__name__, name) for view, name in actions if not issubclass(view, LocalizedViewSet)
    ] == []


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("de", "de"),
        ("PT-br", "pt-BR"),
        ("zh-Hant", "zh-TW"),
        ("zh-hans-sg", "zh-SG"),
        ("sr-Latn", "sr"),
        ("xx", None),
        ("deu", None),
        ("pt_BR", None),
        ("de-DE-1996", None),
        ("de\n", None),
    ],
)
def test_a_language_tag_is_parsed_in_any_case(text, tag):
    assert parse_language_tag(text) == tag


def test_the_nearest_languages_are_few_even_for_long_texts():
    assert len(find_nearest_languages("a" * 10_000)) <= 3


def test_a_payload_without_texts_in_the_language_stays_the_same():
    from movies.localization import localize
    from nexus.core.languages import LanguageTag

    payload = MoviePayload(movie_id=1, title="Alien")

    assert localize({"results": [payload]}, LanguageTag("de")) == "en"
    assert payload == {"movie_id": 1, "title": "Alien"}
