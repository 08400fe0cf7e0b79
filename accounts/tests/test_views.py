"""Registration, login, refresh, logout and the caller's own profile over HTTP."""

import threading

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import TokenFamily, User
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

REGISTRATION = {"username": "Ann", "email": "ann@example.org", "password": PASSWORD}


def log_in(api, user):
    return api.post("/auth/token/", {"username": user.username, "password": PASSWORD}).json()


def refresh(api, pair):
    return api.post("/auth/token/refresh/", {"refresh": pair["refresh"]})


def get_profile(pair):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    return client.get("/profiles/me/")


# --- Registration ---------------------------------------------------------------------------------


def test_registration_returns_the_user_and_a_session(api):
    response = api.post("/auth/register/", REGISTRATION)

    assert response.status_code == 201
    body = response.json()
    assert set(body) == {"user", "access", "refresh"}
    assert set(body["user"]) == {
        *("id", "username", "email", "email_verified", "date_joined", "is_guest"),
    }
    assert body["user"]["username"] == "Ann"
    assert body["user"]["date_joined"].endswith("Z")
    assert get_profile(body).json()["username"] == "Ann"


def test_username_that_differs_only_in_case_is_taken(api):
    api.post("/auth/register/", REGISTRATION)
    other = {"username": "aNN", "email": "bob@example.org", "password": PASSWORD}

    response = api.post("/auth/register/", other)

    assert response.status_code == 400
    assert response.json()["errors"]["username"][0]["code"] == "unique"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "me"),
        ("username", "Sample-ann"),
        ("username", "a@b"),
        ("username", "a/b"),
        ("username", ""),
        ("username", 7),
        ("username", "ann\x00"),
        ("email", "no address"),
        ("password", "12345678"),
        ("password", "password"),
        ("password", "ann@example.org"),
        ("password", "x" * 300),
        ("password_confirm", "another"),
    ],
)
def test_wrong_field_of_a_registration_is_named(api, field, value):
    response = api.post("/auth/register/", {**REGISTRATION, field: value})

    assert response.status_code == 400
    # A NUL is rejected for the whole body.
    assert "\x00" in str(value) or field in response.json()["errors"]
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_simultaneous_identical_registrations_create_one_user():
    statuses = []

    def register():
        statuses.append(APIClient().post("/auth/register/", REGISTRATION).status_code)
        connection.close()

    threads = [threading.Thread(target=register) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [201] + [400] * 19
    assert User.objects.count() == 1


# --- Login ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["ann", "ANN", "ann@example.org", "Ann@Example.org"])
def test_username_and_email_log_in_without_case(api, make_user, login):
    make_user("ann")

    response = api.post("/auth/token/", {"username": login, "password": PASSWORD})

    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}


def test_failed_logins_of_known_unknown_and_inactive_accounts_look_the_same(api, make_user):
    make_user("ann")
    make_user("inactive", is_active=False)
    attempts = (("ann", "wrong"), ("nobody", PASSWORD), ("inactive", PASSWORD))

    responses = [
        api.post("/auth/token/", {"username": name, "password": password})
        for name, password in attempts
    ]

    assert [response.status_code for response in responses] == [401] * 3
    assert len({response.json()["detail"] for response in responses}) == 1
    assert all(response.headers["WWW-Authenticate"].startswith("Bearer") for response in responses)


def test_account_is_closed_after_ten_failed_logins(api, make_user):
    make_user("ann")
    wrong = {"username": "ann", "password": "wrong"}

    statuses = [api.post("/auth/token/", wrong).status_code for _ in range(11)]
    response = api.post("/auth/token/", {"username": "ANN@example.org", "password": PASSWORD})

    assert statuses == [401] * 10 + [429]
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 300


# --- Tokens ---------------------------------------------------------------------------------------


def test_refresh_returns_a_new_pair(api, make_user):
    pair = log_in(api, make_user("ann"))

    response = refresh(api, pair)

    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}
    assert response.json()["refresh"] != pair["refresh"]


def test_lost_response_of_a_refresh_is_repeated(api, make_user):
    pair = log_in(api, make_user("ann"))
    lost = refresh(api, pair).json()

    response = refresh(api, pair)

    assert response.status_code == 200
    assert response.json()["refresh"] == lost["refresh"]
    assert response.json()["access"] != lost["access"]
    assert get_profile(response.json()).status_code == 200


def test_use_of_a_refresh_token_after_its_successor_ends_its_session_only(api, make_user):
    user = make_user("ann")
    pair, other_pair = log_in(api, user), log_in(api, user)
    new_pair = refresh(api, pair).json()
    newest_pair = refresh(api, new_pair).json()

    replay = refresh(api, pair)

    assert replay.status_code == 401
    assert refresh(api, newest_pair).status_code == 401
    assert get_profile(newest_pair).status_code == 401
    assert refresh(api, other_pair).status_code == 200


def test_logout_ends_its_session_only(api, make_user):
    user = make_user("ann")
    pair, other_pair = log_in(api, user), log_in(api, user)

    response = api.post("/auth/logout/", {"refresh": pair["refresh"]})

    assert response.status_code == 204
    assert get_profile(pair).status_code == 401
    assert get_profile(other_pair).status_code == 200


def test_expired_session_cannot_be_refreshed(api, make_user):
    pair = log_in(api, make_user("ann"))
    TokenFamily.objects.update(expires_at="2020-01-01T00:00:00Z")

    assert refresh(api, pair).status_code == 401


@pytest.mark.parametrize("end", ["deactivated", "deleted"])
def test_tokens_of_a_deactivated_or_deleted_user_are_rejected(api, make_user, end):
    user = make_user("ann")
    pair = log_in(api, user)
    if end == "deleted":
        user.delete()
    else:
        User.objects.update(is_active=False)

    verification = api.post("/auth/token/verify/", {"token": pair["access"]})
    profile = get_profile(pair)

    assert refresh(api, pair).status_code == 401
    assert verification.status_code == 401
    assert profile.status_code == 401
    assert profile.headers["Content-Type"] == "application/problem+json"


def test_verify_accepts_both_tokens_of_a_session(api, make_user):
    pair = log_in(api, make_user("ann"))

    statuses = [
        api.post("/auth/token/verify/", {"token": token}).status_code for token in pair.values()
    ]

    assert statuses == [200, 200]


def test_verify_rejects_other_tokens(api, make_user):
    pair = log_in(api, make_user("ann"))

    for token in ("", "x.y.z", pair["access"][:-4] + "AAAA"):
        response = api.post("/auth/token/verify/", {"token": token})

        assert response.status_code in (400, 401)


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "é", "\x80"])
def test_malformed_bearer_token_is_a_401_with_a_challenge(api, token):
    response = api.get("/profiles/me/", HTTP_AUTHORIZATION=f"Bearer {token}")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


# --- The profile ----------------------------------------------------------------------------------


def test_profile_has_the_fields_of_the_contract(make_user, client_of):
    profile = client_of(make_user("ann")).get("/profiles/me/").json()

    assert set(profile) == {
        *("id", "username", "email", "email_verified", "display_name", "bio", "avatar_url"),
        *("favorite_genres", "region", "providers", "visibility", "language", "date_joined"),
        *("is_guest", "followers", "following"),
    }


def test_patch_changes_the_profile(make_user, client_of):
    api = client_of(make_user("ann"))
    changes = {
        "display_name": "Ann Ä.",
        "favorite_genres": ["drama", "Action", "Drama"],
        "avatar_url": "https://example.org/a.png",
        "region": "de",
        "providers": [337, 8, 337],
        "visibility": "private",
    }

    response = api.patch("/profiles/me/", changes)

    assert response.status_code == 200
    assert (
        api.get("/profiles/me/").json().items()
        >= {
            "display_name": "Ann Ä.",
            "favorite_genres": ["Action", "Drama"],
            "avatar_url": "https://example.org/a.png",
            "region": "DE",
            "providers": [337, 8],
            "visibility": "private",
        }.items()
    )


def test_put_ignores_read_only_fields(make_user, client_of):
    api = client_of(make_user("ann"))
    profile = api.get("/profiles/me/").json()

    response = api.put("/profiles/me/", {**profile, "username": "root", "bio": "Hello"})

    assert response.status_code == 200
    assert (response.json()["username"], response.json()["bio"]) == ("ann", "Hello")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("avatar_url", "http://example.org/a.png"),
        ("avatar_url", "javascript:alert(1)"),
        ("favorite_genres", ["Telenovela"]),
        ("favorite_genres", "Drama"),
        ("favorite_genres", [["Drama"]]),
        ("region", "UK"),
        ("providers", [0]),
        ("providers", [2**18]),
        ("providers", list(range(1, 52))),
        ("visibility", "secret"),
        ("bio", "x" * 1001),
        ("display_name", None),
    ],
)
def test_wrong_field_of_a_profile_is_named(make_user, client_of, field, value):
    response = client_of(make_user("ann")).patch("/profiles/me/", {field: value})

    assert response.status_code == 400
    assert any(name.split(".")[0] == field for name in response.json()["errors"])


def test_profile_may_not_be_stored_by_caches(make_user, client_of):
    response = client_of(make_user("ann")).get("/profiles/me/")

    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["ETag"]
