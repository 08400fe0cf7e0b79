"""The caller's sessions: /auth/sessions/ and /auth/logout/all/."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import TokenFamily
from accounts.tokens import family_create, refresh_token_rotate

pytestmark = pytest.mark.django_db


def make_client(pair):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    return client


def get_profile_status(pair):
    return make_client(pair).get("/profiles/me/").status_code


def test_sessions_of_the_caller_are_listed_last_used_first(ann, bob):
    phone = family_create(user=ann, user_agent="Phone/1")
    family_create(user=ann, user_agent="Laptop/2")
    family_create(user=bob, user_agent="Bob/3")
    phone = refresh_token_rotate(refresh=phone.refresh)

    page = make_client(phone).get("/auth/sessions/").json()

    assert page["count"] == 2
    sessions = [(session["user_agent"], session["current"]) for session in page["results"]]
    assert sessions == [("Phone/1", True), ("Laptop/2", False)]


def test_session_has_the_fields_of_the_contract(ann):
    pair = family_create(user=ann)
    pair = refresh_token_rotate(refresh=pair.refresh)

    (session,) = make_client(pair).get("/auth/sessions/").json()["results"]

    assert set(session) == {
        *("id", "user_agent", "created_at", "last_used_at", "expires_at", "current"),
    }
    assert session["created_at"] < session["last_used_at"] < session["expires_at"]
    assert session["created_at"].endswith("Z")


@pytest.mark.parametrize("end", ["revoked", "expired", "idle"])
def test_ended_session_is_not_listed_and_cannot_be_ended(ann, end):
    now = timezone.now()
    client = make_client(family_create(user=ann))
    family = TokenFamily.objects.create(user=ann, expires_at=now + timedelta(days=1))
    changes = {
        "revoked": {"revoked_at": now},
        "expired": {"expires_at": now},
        "idle": {"last_used_at": now - timedelta(days=14)},
    }
    TokenFamily.objects.filter(id=family.id).update(**changes[end])

    page = client.get("/auth/sessions/").json()
    response = client.delete(f"/auth/sessions/{family.id}/")

    assert page["count"] == 1
    assert response.status_code == 404


def test_ending_a_session_ends_its_tokens_and_no_others(ann):
    current, other = family_create(user=ann), family_create(user=ann)
    client = make_client(current)
    sessions = client.get("/auth/sessions/").json()["results"]
    (other_session,) = [session for session in sessions if not session["current"]]

    response = client.delete(f"/auth/sessions/{other_session['id']}/")

    assert response.status_code == 204
    assert get_profile_status(other) == 401
    refresh = APIClient().post("/auth/token/refresh/", {"refresh": other.refresh})
    assert refresh.status_code == 401
    assert client.get("/auth/sessions/").json()["count"] == 1


@pytest.mark.parametrize("exists", [True, False])
def test_session_of_another_user_is_not_found(ann, bob, exists):
    bobs_pair = family_create(user=bob)
    session_id = TokenFamily.objects.get().id if exists else uuid.uuid4()

    response = make_client(family_create(user=ann)).delete(f"/auth/sessions/{session_id}/")

    assert (response.status_code, response.json()["detail"]) == (404, "Not found.")
    assert get_profile_status(bobs_pair) == 200


def test_logging_out_everywhere_ends_all_sessions_of_the_caller_only(ann, bob):
    current, other, bobs = (family_create(user=user) for user in (ann, ann, bob))

    response = make_client(current).post("/auth/logout/all/")

    assert response.status_code == 204
    assert [get_profile_status(pair) for pair in (current, other, bobs)] == [401, 401, 200]


def test_page_of_sessions_takes_three_queries(ann, django_assert_num_queries):
    for _ in range(5):
        family_create(user=ann)
    client = make_client(family_create(user=ann))

    with django_assert_num_queries(3):  # the session of the request, the count and the page
        page = client.get("/auth/sessions/").json()

    assert len(page["results"]) == 6
