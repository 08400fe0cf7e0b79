"""Guests: accounts without a name, and what becomes of their tokens."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import TokenFamily, User
from accounts.services import guest_create
from accounts.tokens import family_create
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

ACCOUNT = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}


def start_guest(api):
    """Create a guest over HTTP; return the response's body. The client is the guest's afterwards."""
    guest = api.post("/auth/guest/").json()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {guest['access']}")
    return guest


def expire(user_id):
    joined = timezone.now() - timedelta(days=7)
    User.objects.filter(pk=user_id).update(date_joined=joined)


def test_guest_is_created_without_a_body_and_is_logged_in(api):
    response = api.post("/auth/guest/")

    guest = response.json()
    user = User.objects.get()
    assert response.status_code == 201
    assert set(guest) == {"user", "access", "refresh", "expires_at"}
    assert guest["user"]["is_guest"] is True
    assert guest["user"]["email"] == ""
    assert guest["user"]["username"].startswith("guest-")
    lifetime = datetime.fromisoformat(guest["expires_at"]) - user.date_joined
    assert abs(lifetime - timedelta(days=7)) < timedelta(seconds=1)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {guest['access']}")
    profile = api.get("/profiles/me/").json()
    assert profile["visibility"] == "private"
    assert profile["is_guest"] is True


def test_members_are_no_guests(api):
    registered = api.post("/auth/register/", ACCOUNT).json()

    assert registered["user"]["is_guest"] is False


def test_an_address_creates_at_most_20_guests_an_hour(api):
    statuses = [api.post("/auth/guest/").status_code for _ in range(21)]

    assert statuses == [201] * 20 + [429]


def test_nobody_can_register_the_name_of_a_guest(api):
    response = api.post("/auth/register/", {**ACCOUNT, "username": "guest-0123456789abcdef"})

    assert response.json()["errors"]["username"][0]["code"] == "reserved"


def test_nobody_logs_in_as_a_guest_or_resets_its_password(api):
    guest = guest_create()

    for password in ("", "!", guest.password, PASSWORD):
        credentials = {"username": guest.username, "password": password}
        assert api.post("/auth/token/", credentials).status_code in (400, 401)


def test_the_table_refuses_a_public_guest():
    guest = guest_create()
    guest.visibility = "public"

    with pytest.raises(IntegrityError), transaction.atomic():
        guest.save()


# --- Expiry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_deleted", [False, True])
def test_expired_guest_is_told_so(api, is_deleted, monkeypatch):
    guest = start_guest(api)
    if is_deleted:
        User.objects.all().delete()
    later = timezone.now() + timedelta(days=7)
    monkeypatch.setattr(timezone, "now", lambda: later)

    responses = [
        api.get("/profiles/me/"),
        api.post("/auth/token/refresh/", {"refresh": guest["refresh"]}),
        api.post("/auth/token/verify/", {"token": guest["refresh"]}),
    ]

    assert [response.status_code for response in responses] == [401] * 3
    assert {response.json()["code"] for response in responses} == {"guest_expired"}
    assert api.get("/movies/").status_code == 200


def test_a_guest_that_was_deleted_early_is_not_told_that_it_expired(api):
    start_guest(api)
    User.objects.all().delete()

    assert api.get("/profiles/me/").json()["code"] == "session_ended"


# --- Registration --------------------------------------------------------------------------------


def test_registration_keeps_the_account_and_ends_the_guests_sessions(api):
    guest = start_guest(api)
    other = family_create(user=User.objects.get())

    response = api.post("/auth/guest/register/", ACCOUNT)

    registered = response.json()
    assert response.status_code == 200
    assert registered["user"]["id"] == guest["user"]["id"]
    assert registered["user"]["username"] == "ann"
    assert registered["user"]["is_guest"] is False
    assert api.get("/profiles/me/").status_code == 401
    for refresh in (guest["refresh"], other.refresh):
        assert api.post("/auth/token/refresh/", {"refresh": refresh}).status_code == 401
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {registered['access']}")
    assert api.get("/profiles/me/").json()["visibility"] == "public"
    assert TokenFamily.objects.active().count() == 1
    api.credentials()
    credentials = {"username": "ann", "password": PASSWORD}
    assert api.post("/auth/token/", credentials).status_code == 200


def test_a_registered_guest_does_not_expire(api):
    start_guest(api)
    access = api.post("/auth/guest/register/", ACCOUNT).json()["access"]
    expire(User.objects.get().pk)

    api.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")

    assert api.get("/profiles/me/").status_code == 200


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"username": "BOB"}, "username", "unique"),
        ({"username": "guest-1"}, "username", "reserved"),
        ({"password": "weak"}, "password", "weak_password"),
        ({"email": "x"}, "email", "invalid"),
    ],
)
def test_registration_refuses_bad_fields_and_leaves_the_guest(api, make_user, change, field, code):
    make_user("bob")
    start_guest(api)

    response = api.post("/auth/guest/register/", {**ACCOUNT, **change})

    assert response.status_code == 400
    assert response.json()["errors"][field][0]["code"] == code
    assert api.get("/profiles/me/").json()["is_guest"] is True


def test_a_member_cannot_register_again(make_user, client_of):
    response = client_of(make_user("bob")).post("/auth/guest/register/", ACCOUNT)

    assert response.status_code == 403
    assert response.json()["code"] == "not_a_guest"
