"""Personal access tokens: creation, use, scopes and their end."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.exceptions import SessionRevoked
from accounts.mail_tokens import make_password_reset_credentials
from accounts.models import PersonalAccessToken
from accounts.services import (
    access_token_create,
    guest_create,
    user_password_reset,
)
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

# As docs/clients.md gives it to secret scanners.
PATTERN = re.compile(r"nxs_[0-9A-Za-z]{38}")
PATH = "/auth/access-tokens/"


def make_client(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def create(user, *scopes, **fields):
    return access_token_create(user=user, name="Script", scopes=scopes or ("read",), **fields)[1]


def get_code(client, path="/profiles/me/"):
    response = client.get(path)
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    return response.json()["code"]


def test_token_is_shown_once_and_stored_as_a_hash(ann, client_of):
    client = client_of(ann)

    response = client.post(PATH, {"name": "Script", "scopes": ["write", "scrobble", "write"]})

    created = response.json()
    token = created.pop("token")
    assert response.status_code == 201
    assert PATTERN.fullmatch(token)
    listed = client.get(PATH).json()
    assert listed["count"] == 1
    assert listed["results"] == [created]
    assert created["scopes"] == ["write", "scrobble"]
    assert created["last_used_at"] is created["expires_at"] is None
    (row,) = PersonalAccessToken.objects.values()
    assert token not in str(row)


def test_token_acts_as_its_member_and_stores_its_last_use(ann, client_of):
    client = make_client(create(ann))

    response = client.get("/profiles/me/")

    assert response.status_code == 200
    assert response.json()["username"] == "ann"
    (listed,) = client_of(ann).get(PATH).json()["results"]
    assert listed["last_used_at"] is not None


def test_last_use_is_written_once_a_minute(ann, monkeypatch):
    client = make_client(create(ann))
    client.get("/profiles/me/")
    first = PersonalAccessToken.objects.get().last_used_at

    client.get("/profiles/me/")
    assert PersonalAccessToken.objects.get().last_used_at == first

    later = timezone.now() + timedelta(seconds=61)
    monkeypatch.setattr(timezone, "now", lambda: later)
    client.get("/profiles/me/")
    assert PersonalAccessToken.objects.get().last_used_at == later


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"scopes": "read"}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_bad_fields_are_named(ann, client_of, change, field):
    response = client_of(ann).post(PATH, {"name": "Script", "scopes": ["read"], **change})

    assert response.status_code == 400
    assert {name.partition(".")[0] for name in response.json()["errors"]} == {field}


def test_a_member_has_at_most_25_tokens(ann, client_of):
    client, body = client_of(ann), {"name": "Script", "scopes": ["read"]}
    statuses = [client.post(PATH, body).status_code for _ in range(25)]

    response = client.post(PATH, body)

    assert statuses == [201] * 25
    assert response.status_code == 409
    assert response.json()["code"] == "too_many_access_tokens"


# --- Tokens that are refused ---------------------------------------------------------------------


def test_wrong_and_foreign_tokens_are_told_so(ann):
    token = create(ann)

    for wrong in ("nxs_", "nxs_x", token + "0", token[:-1] + "é", token[:4] + "0" * 38, token[:-7]):
        assert get_code(make_client(wrong)) == "access_token_not_valid"
    for foreign in ("ghp_0123456789", token.upper(), token[4:]):
        assert get_code(make_client(foreign)) == "token_not_valid"


def test_expired_token_is_told_so(ann):
    token = create(ann, expires_at=timezone.now())

    assert get_code(make_client(token)) == "access_token_expired"


def test_deleted_token_is_refused(ann, client_of):
    token = create(ann)
    token_id = PersonalAccessToken.objects.get().pk

    response = client_of(ann).delete(f"{PATH}{token_id}/")

    assert response.status_code == 204
    assert get_code(make_client(token)) == "access_token_not_valid"
    assert client_of(ann).delete(f"{PATH}{token_id}/").status_code == 404


def test_a_member_sees_and_deletes_only_their_own_tokens(ann, make_user, client_of):
    token = create(ann)
    others_client = client_of(make_user("bob"))

    response = others_client.delete(f"{PATH}{PersonalAccessToken.objects.get().pk}/")

    assert response.status_code == 404
    assert others_client.get(PATH).json()["count"] == 0
    assert make_client(token).get("/profiles/me/").status_code == 200


def test_public_pages_ignore_a_wrong_token():
    assert make_client("nxs_x").get("/movies/").status_code == 200


def test_verify_checks_personal_access_tokens_too(ann, api):
    token = create(ann)

    assert api.post("/auth/token/verify/", {"token": token}).status_code == 200
    wrong = api.post("/auth/token/verify/", {"token": token + "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "access_token_not_valid")


# --- The end of all tokens -----------------------------------------------------------------------


def change_password(user, client):
    body = {"old_password": PASSWORD, "new_password": "another-horse-9"}
    assert client.post("/auth/password/change/", body).status_code == 204


def reset_password(user, client):
    uid, token = make_password_reset_credentials(user)
    user_password_reset(uid=uid, token=token, new_password="another-horse-9")


def deactivate(user, client):
    user.is_active = False
    user.save()
    user.is_active = True
    user.save()


def delete_account(user, client):
    assert client.delete("/profiles/me/", {"password": PASSWORD}).status_code == 204


@pytest.mark.parametrize("end", [change_password, reset_password, deactivate, delete_account])
def test_what_ends_sessions_ends_tokens(ann, client_of, end):
    token = create(ann)

    end(ann, client_of(ann))

    assert get_code(make_client(token)) == "access_token_not_valid"
    assert not PersonalAccessToken.objects.exists()


def test_logout_everywhere_leaves_tokens(ann, client_of):
    token = create(ann)

    client_of(ann).post("/auth/logout/all/")

    assert make_client(token).get("/profiles/me/").status_code == 200


def test_a_session_of_the_password_before_creates_no_token(ann, client_of):
    stale = type(ann).objects.get(pk=ann.pk)
    ann.set_password("another-horse-9")
    ann.save()

    with pytest.raises(SessionRevoked):
        create(stale)


# --- What a token may do -------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["read", "write", "scrobble"])
def test_scopes_decide_what_a_token_may_do(ann, scope, make_movie):
    client, movie = make_client(create(ann, scope)), make_movie()

    read = client.get("/watchlist/")
    write = client.post("/watchlist/", {"movie": movie.pk})

    may_read, may_write = scope in ("read", "write"), scope == "write"
    assert read.status_code == (200 if may_read else 403)
    assert write.status_code == (201 if may_write else 403)
    for response, is_allowed in ((read, may_read), (write, may_write)):
        if not is_allowed:
            assert response.json()["code"] == "insufficient_scope"


def test_tokens_do_not_manage_the_account(ann):
    client = make_client(create(ann, "read", "write", "scrobble"))

    responses = [
        client.get(PATH),
        client.post(PATH, {"name": "Another", "scopes": ["write"]}),
        client.get("/auth/sessions/"),
        client.delete("/profiles/me/", {"password": PASSWORD}),
        client.get("/exports/"),
        client.get("/imports/"),
    ]

    assert [response.status_code for response in responses] == [403] * len(responses)
    assert {response.json()["code"] for response in responses} == {"session_required"}


def test_guests_have_no_tokens(client_of):
    response = client_of(guest_create()).post(PATH, {"name": "Script", "scopes": ["read"]})

    assert (response.status_code, response.json()["code"]) == (403, "guest_not_allowed")


def test_requests_with_a_token_count_for_the_member(ann, client_of):
    token = make_client(create(ann))
    client_of(ann).get("/profiles/me/")

    response = token.get("/profiles/me/")

    assert '"member";r=598' in response["RateLimit"]


def test_admins_see_tokens_and_end_them(ann, admin_client):
    token = create(ann)
    row = PersonalAccessToken.objects.get()

    shown = admin_client.get("/admin/accounts/personalaccesstoken/")
    details = admin_client.get(f"/admin/accounts/personalaccesstoken/{row.pk}/change/")
    admin_client.post(f"/admin/accounts/personalaccesstoken/{row.pk}/delete/", {"post": "yes"})

    assert "Script" in shown.content.decode()
    assert row.digest not in details.content.decode()
    assert get_code(make_client(token)) == "access_token_not_valid"
