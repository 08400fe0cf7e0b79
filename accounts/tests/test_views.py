import threading

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import TokenFamily, User
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

NEW = {"username": "Ann", "email": "ann@example.org", "password": PASSWORD}


def test_registering_answers_the_user_and_a_working_session(api):
    answer = api.post("/auth/register/", NEW)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"user", "access", "refresh"}
    assert set(body["user"]) == {"id", "username", "email", "date_joined"}
    assert body["user"]["username"] == "Ann"
    assert body["user"]["date_joined"].endswith("Z")
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access']}")
    assert api.get("/profiles/me/").json()["username"] == "Ann"


@pytest.mark.parametrize(("field", "value"), [("username", "aNN"), ("email", "ANN@example.org")])
def test_a_name_or_address_taken_in_another_case_is_refused_on_its_field(api, field, value):
    api.post("/auth/register/", NEW)
    other = {"username": "bob", "email": "bob@example.org", "password": PASSWORD, field: value}
    answer = api.post("/auth/register/", other)
    assert answer.status_code == 400
    assert answer.json()["errors"][field][0]["code"] == "unique"


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
def test_a_bad_field_is_named(api, field, value):
    answer = api.post("/auth/register/", {**NEW, field: value})
    assert answer.status_code == 400
    body = answer.json()
    assert "\x00" in str(value) or field in body["errors"]
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_twenty_identical_registrations_at_once_make_one_member():
    statuses = []

    def register():
        statuses.append(APIClient().post("/auth/register/", NEW).status_code)
        connection.close()

    threads = [threading.Thread(target=register) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [400] * 19
    assert User.objects.count() == 1


@pytest.mark.parametrize("login", ["ann", "ANN", "ann@example.org", "Ann@Example.org"])
def test_username_or_address_logs_in_without_case(api, make_user, login):
    make_user("ann")
    answer = api.post("/auth/token/", {"username": login, "password": PASSWORD})
    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh"}


def test_known_unknown_and_inactive_accounts_are_refused_alike(api, make_user):
    make_user("ann")
    make_user("gone", is_active=False)
    answers = [
        api.post("/auth/token/", {"username": name, "password": password})
        for name, password in (("ann", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD))
    ]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert all(answer.headers["WWW-Authenticate"].startswith("Bearer") for answer in answers)


def test_ten_wrong_passwords_close_the_account_for_a_while(api, make_user):
    make_user("ann")
    wrong = {"username": "ann", "password": "wrong"}
    statuses = [api.post("/auth/token/", wrong).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    answer = api.post("/auth/token/", {"username": "ANN@example.org", "password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 300


def _pair(api, user):
    return api.post("/auth/token/", {"username": user.username, "password": PASSWORD}).json()


def test_a_refresh_token_works_once_and_its_replay_ends_the_family(api, make_user):
    user = make_user("ann")
    first, other = _pair(api, user), _pair(api, user)
    second = api.post("/auth/token/refresh/", {"refresh": first["refresh"]})
    assert second.status_code == 200
    assert set(second.json()) == {"access", "refresh"}
    assert second.json()["refresh"] != first["refresh"]

    replay = api.post("/auth/token/refresh/", {"refresh": first["refresh"]})
    assert replay.status_code == 401
    newest = api.post("/auth/token/refresh/", {"refresh": second.json()["refresh"]})
    assert newest.status_code == 401
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {second.json()['access']}")
    assert api.get("/profiles/me/").status_code == 401
    api.credentials()
    assert api.post("/auth/token/refresh/", {"refresh": other["refresh"]}).status_code == 200


def test_logging_out_ends_this_session_and_no_other(api, make_user):
    user = make_user("ann")
    pair, other = _pair(api, user), _pair(api, user)
    assert api.post("/auth/logout/", {"refresh": pair["refresh"]}).status_code == 204
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    assert api.get("/profiles/me/").status_code == 401
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {other['access']}")
    assert api.get("/profiles/me/").status_code == 200


def test_a_session_ends_with_its_lifetime_however_often_refreshed(api, make_user, settings):
    pair = _pair(api, make_user("ann"))
    TokenFamily.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert api.post("/auth/token/refresh/", {"refresh": pair["refresh"]}).status_code == 401


@pytest.mark.parametrize("end", ["deactivated", "deleted"])
def test_tokens_of_a_member_who_is_gone_are_refused_and_never_a_500(api, make_user, end):
    user = make_user("ann")
    pair = _pair(api, user)
    if end == "deleted":
        user.delete()
    else:
        User.objects.update(is_active=False)
    assert api.post("/auth/token/refresh/", {"refresh": pair["refresh"]}).status_code == 401
    assert api.post("/auth/token/verify/", {"token": pair["access"]}).status_code == 401
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    answer = api.get("/profiles/me/")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_verify_tells_living_tokens_from_others(api, make_user):
    pair = _pair(api, make_user("ann"))
    for token in pair.values():
        assert api.post("/auth/token/verify/", {"token": token}).status_code == 200
    for token in ("", "x.y.z", pair["access"][:-4] + "AAAA"):
        assert api.post("/auth/token/verify/", {"token": token}).status_code in (400, 401)


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "é", "\x80"])
def test_a_malformed_bearer_token_is_401_with_a_challenge(api, token):
    answer = api.get("/profiles/me/", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_profile_has_the_contracts_fields_and_keeps_what_it_is_sent(make_user, client_of):
    api = client_of(make_user("ann"))
    assert set(api.get("/profiles/me/").json()) == {
        *("id", "username", "email", "display_name", "bio", "avatar_url", "favorite_genres"),
        *("visibility", "date_joined", "followers", "following"),
    }
    change = {
        "display_name": "Ann Ä.",
        "favorite_genres": ["drama", "Action", "Drama"],
        "avatar_url": "https://example.org/a.png",
        "visibility": "private",
    }
    assert api.patch("/profiles/me/", change).status_code == 200
    body = api.get("/profiles/me/").json()
    assert body["favorite_genres"] == ["Action", "Drama"]
    assert (body["display_name"], body["visibility"]) == ("Ann Ä.", "private")
    again = api.put("/profiles/me/", {**body, "username": "root", "bio": "Hello"})
    assert again.status_code == 200
    assert (again.json()["username"], again.json()["bio"]) == ("ann", "Hello")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("avatar_url", "http://example.org/a.png"),
        ("avatar_url", "javascript:alert(1)"),
        ("favorite_genres", ["Telenovela"]),
        ("favorite_genres", "Drama"),
        ("favorite_genres", [["Drama"]]),
        ("visibility", "secret"),
        ("bio", "x" * 1001),
        ("display_name", None),
    ],
)
def test_a_bad_profile_field_is_named(make_user, client_of, field, value):
    answer = client_of(make_user("ann")).patch("/profiles/me/", {field: value})
    assert answer.status_code == 400
    assert any(name.split(".")[0] == field for name in answer.json()["errors"])


def test_answers_about_a_member_are_not_stored_on_the_way(make_user, client_of):
    answer = client_of(make_user("ann")).get("/profiles/me/")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["ETag"]
