"""Every text that members show to others follows one rule: over the API, in forms and in imports."""

import json
from importlib import import_module

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.models import User
from nexus.core.validators import validate_line, validate_public_url, validate_text
from nexus.tests.test_admin_forms import belongs_to_a_member
from social.models import Import, MovieGroup, Playlist, PlaylistItem, Rating, ReviewReport
from social.transfer.tests.helpers import make_zip, run_action, upload_and_read

pytestmark = pytest.mark.django_db

OVERRIDE, ESCAPE, LONE_SPACE = "ann\u202egpj.exe", "\x1b[31mann", "\u200b"

# Texts of members that are not validated by the two rules, each with its reason.
EXCUSED = {
    "accounts.User.username": "letters, digits and _ . + - only",
    "accounts.User.email": "an e-mail address, which only its owner and staff see",
    "accounts.User.pending_email": "an e-mail address, which only its owner sees",
    "accounts.User.language": "a language tag",
    "accounts.User.region": "the code of a region",
    "social.CalendarFeed.digest": "a hash",
    "accounts.User.first_name": "no form or request sets it",
    "accounts.User.last_name": "no form or request sets it",
    "accounts.User.password": "a hash",
    "accounts.User.origin": "a choice",
    "accounts.User.visibility": "a choice",
    "accounts.TokenFamily.user_agent": "cleaned by accounts.views",
    "accounts.SpentRefreshToken.jti": "an id",
    "accounts.SpentRefreshToken.successor_jti": "an id",
    "accounts.KnownAddress.digest": "a hash",
    "accounts.PersonalAccessToken.digest": "a hash",
    "social.Playlist.visibility": "a choice",
    "social.ReviewReport.reason": "a choice",
    "social.ReviewReport.state": "a choice",
    "social.ReviewReport.review": "a copy of a validated review",
    "recommendations.Feedback.kind": "a choice",
    "social.GroupVote.vote": "a choice",
}
# Only the member sees them, as they are in the file.
EXCUSED_MODELS = {"social.Import", "social.ImportRow"}


def list_member_texts():
    """Return the text columns of tables that belong to a member, directly or by another table."""
    from django.apps import apps

    return [
        field
        for model in apps.get_models()
        if model._meta.app_label in ("accounts", "social", "recommendations")
        and belongs_to_a_member(model)
        and model._meta.label not in EXCUSED_MODELS
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
    ]


@pytest.mark.parametrize("field", list_member_texts(), ids=str)
def test_every_text_of_a_member_has_the_rule_or_an_excuse(field):
    rules = (validate_line, validate_text, validate_public_url)

    assert any(rule in field.validators for rule in rules) or str(field) in EXCUSED


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (User, "display_name"),
        (User, "bio"),
        (Playlist, "name"),
        (Playlist, "description"),
        (PlaylistItem, "note"),
        (Rating, "review"),
        (MovieGroup, "name"),
        (ReviewReport, "comment"),
    ],
    ids=str,
)
@pytest.mark.parametrize("text", [OVERRIDE, ESCAPE, LONE_SPACE, "\x00", "a\u200b", "\u200f"])
def test_models_refuse_invisible_characters(model, name, text):
    with pytest.raises(ValidationError):
        model._meta.get_field(name).run_validators(text)


@pytest.fixture
def client(make_user, client_of):
    return client_of(make_user("ann"))


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien")


@pytest.fixture
def playlist(client, movie):
    body = {"name": "Nights", "movie_ids": [movie.pk]}
    return f"/playlists/{client.post('/playlists/', body).json()['id']}/"


@pytest.mark.parametrize("text", [OVERRIDE, ESCAPE, LONE_SPACE])
def test_the_api_refuses_invisible_characters_in_every_text(
    client, movie, playlist, make_user, make_movie, client_of, text
):
    review = {"movie": make_movie("Brazil").pk, "score": 4, "review": "Words."}
    rating_id = client_of(make_user("bob")).post("/ratings/", review).json()["id"]
    requests = [
        ("patch", "/profiles/me/", "display_name", {}),
        ("patch", "/profiles/me/", "bio", {}),
        ("post", "/playlists/", "name", {}),
        ("post", "/playlists/", "description", {"name": "Nights"}),
        ("patch", playlist, "name", {}),
        ("patch", playlist, "description", {}),
        ("post", f"{playlist}copy/", "name", {}),
        ("patch", f"{playlist}items/{movie.pk}/", "note", {}),
        ("post", "/ratings/", "review", {"movie": movie.pk, "score": 4}),
        ("post", "/history/", "note", {"movie": movie.pk}),
        ("post", "/groups/", "name", {}),
        ("post", f"/ratings/{rating_id}/report/", "comment", {"reason": "spam"}),
    ]

    responses = [
        (name, getattr(client, method)(url, {**body, name: text}))
        for method, url, name, body in requests
    ]

    for name, response in responses:
        assert response.status_code == 400, (name, text)
        (error,) = response.json()["errors"][name]
        assert error["code"] == "invisible_character"
    assert "U+202E (right-to-left override)" in str(
        client.patch("/profiles/me/", {"bio": OVERRIDE}).json()
    )


def test_lines_refuse_breaks_and_texts_keep_them(client):
    text = "Two\nlines"

    name = client.patch("/profiles/me/", {"display_name": text})
    bio = client.patch("/profiles/me/", {"bio": text})

    assert name.json()["errors"]["display_name"][0]["message"].startswith("Write this in one line")
    assert (bio.status_code, bio.json()["bio"]) == (200, text)


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:secret@example.org/a.png",
        "https://example.org/<script>alert(1)</script>",
        'https://example.org/a.png"onerror="x',
        "https://example.org/\u202egnp.a",
        "https://-example-/a.png",
    ],
)
def test_avatar_url_with_credentials_or_markup_is_refused(client, url):
    response = client.patch("/profiles/me/", {"avatar_url": url})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["avatar_url"]


def test_device_of_a_session_is_listed_without_invisible_characters(api, make_user, client_of):
    ann = make_user("ann")
    credentials = {"username": "ann", "password": "correct-horse-7-battery"}

    api.post("/auth/token/", credentials, HTTP_USER_AGENT="Phone\x1b[31m\x00 1")

    agents = [row["user_agent"] for row in client_of(ann).get("/auth/sessions/").json()["results"]]
    assert "Phone[31m 1" in agents


def test_import_cleans_texts_and_says_so(client, movie):
    manifest = {"format": "nexus-export", "version": 1}
    profile = {
        "display_name": OVERRIDE,
        "bio": "x" * 1001,
        "avatar_url": "https://ann:secret@example.org/a.png",
        "favorite_genres": [],
        "visibility": "public",
    }
    rating = {
        "movie": {"id": movie.pk, "title": "Alien", "tmdb_id": movie.tmdb_id},
        "score": 4,
        "review": f"Good.{LONE_SPACE}\nVery.\x00" + "x" * 10_000,
    }
    playlist = {"name": "Two\nlines", "visibility": "public", "items": []}
    archive = make_zip(
        {
            "nexus-export.json": json.dumps(manifest),
            "profile.json": json.dumps([profile]),
            "ratings.json": json.dumps([rating]),
            "playlists.json": json.dumps([playlist]),
        }
    )

    job = upload_and_read(client, archive, "export.zip")
    run_action(client, job, "apply")

    reasons = {row["kind"]: row["reason"] for row in job["rows"]["results"]}
    assert [row["verdict"] for row in job["rows"]["results"]] == ["matched"] * 3
    assert "The bio was cut to 1,000 characters." in reasons["profile"]
    assert "The avatar's URL was left out" in reasons["profile"]
    assert "The review was cut to 10,000 characters." in reasons["rating"]
    assert "Invisible characters were removed from the list's name." in reasons["playlist"]
    ann = User.objects.get()
    assert (ann.display_name, len(ann.bio), ann.avatar_url) == ("anngpj.exe", 1000, "")
    assert Rating.objects.get().review.startswith("Good.\nVery.xxx")
    assert Playlist.objects.get().name == "Two lines"


def test_letterboxd_review_with_invisible_characters_is_cleaned(client, movie):
    lines = ["Title,Year,tmdbID,Rating,Review", f"Alien,,{movie.tmdb_id},4,Goo{LONE_SPACE}d."]

    job = upload_and_read(client, "\n".join(lines), "letterboxd.csv")
    run_action(client, job, "apply")

    assert Rating.objects.get().review == "Good."
    assert Import.objects.get().state == "applied"


def test_migration_cleans_what_was_written_before(make_user, movie):
    migration = import_module("social.migrations.0018_clean_texts")
    texts = {"display_name": OVERRIDE, "bio": "Two\nlines\u200b", "avatar_url": "http://x.org/a"}
    ann = make_user("ann", **texts)
    bob = make_user("bob", display_name="❤️\u200d🔥", avatar_url="https://example.org/a.png")
    playlist = Playlist.objects.create(owner=ann, name=LONE_SPACE, description=ESCAPE)
    item = PlaylistItem.objects.create(playlist=playlist, movie=movie, position=1, note="\u200fA")
    now = timezone.now()
    rating = Rating.objects.create(
        user=ann, movie=movie, score=4, review=OVERRIDE, created_at=now, updated_at=now
    )

    for _ in range(2):
        migration.clean_texts(apps, None)
        migration.remove_unsafe_urls(apps, None)

    for row in (ann, bob, playlist, item, rating):
        row.refresh_from_db()
    assert (ann.display_name, ann.bio, ann.avatar_url) == ("anngpj.exe", "Two\nlines", "")
    assert (bob.display_name, bob.avatar_url) == ("❤️\u200d🔥", "https://example.org/a.png")
    assert (playlist.name, playlist.description) == ("Untitled", "[31mann")
    assert (item.note, rating.review, rating.updated_at) == ("A", "anngpj.exe", now)
