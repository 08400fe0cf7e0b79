import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import TokenFamily
from accounts.tokens import family_create, refresh_token_rotate

pytestmark = pytest.mark.django_db


def client_with(access):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client


@pytest.fixture
def ann(make_user):
    return make_user("ann")


def test_the_sessions_of_the_caller_are_listed_last_used_first(ann, make_user):
    phone = family_create(user=ann, user_agent="Phone/1")
    family_create(user=ann, user_agent="Laptop/2")
    family_create(user=make_user("bob"), user_agent="Bob/3")
    phone = refresh_token_rotate(refresh=phone.refresh)
    page = client_with(phone.access).get("/auth/sessions/").json()
    assert page["count"] == 2
    shown = [(each["user_agent"], each["current"]) for each in page["results"]]
    assert shown == [("Phone/1", True), ("Laptop/2", False)]
    first = page["results"][0]
    assert set(first) == {
        *("id", "user_agent", "created_at", "last_used_at", "expires_at", "current"),
    }
    assert first["created_at"] < first["last_used_at"] < first["expires_at"]
    assert first["created_at"].endswith("Z")


def test_a_session_that_is_over_is_not_listed_and_cannot_be_ended(ann):
    current = family_create(user=ann)
    now = timezone.now()
    for change in (
        {"revoked_at": now},
        {"expires_at": now},
        {"last_used_at": now - timedelta(days=14)},
    ):
        family = TokenFamily.objects.create(user=ann, expires_at=now + timedelta(days=1))
        TokenFamily.objects.filter(id=family.id).update(**change)
        client = client_with(current.access)
        assert client.get("/auth/sessions/").json()["count"] == 1
        assert client.delete(f"/auth/sessions/{family.id}/").status_code == 404


def test_ending_one_session_ends_its_tokens_and_no_others(ann):
    here, there = family_create(user=ann), family_create(user=ann)
    client = client_with(here.access)
    (other,) = [
        each for each in client.get("/auth/sessions/").json()["results"] if not each["current"]
    ]
    assert client.delete(f"/auth/sessions/{other['id']}/").status_code == 204
    assert client_with(there.access).get("/profiles/me/").status_code == 401
    answer = APIClient().post("/auth/token/refresh/", {"refresh": there.refresh})
    assert answer.status_code == 401
    assert client.get("/auth/sessions/").json()["count"] == 1


def test_the_session_of_another_member_is_not_there(ann, make_user):
    bobs = family_create(user=make_user("bob"))
    (family,) = TokenFamily.objects.all()
    client = client_with(family_create(user=ann).access)
    for pk in (family.id, uuid.uuid4()):
        answer = client.delete(f"/auth/sessions/{pk}/")
        assert (answer.status_code, answer.json()["detail"]) == (404, "Not found.")
    assert client_with(bobs.access).get("/profiles/me/").status_code == 200


def test_logging_out_everywhere_ends_every_session_of_the_caller_alone(ann, make_user):
    here, there, bobs = (family_create(user=who) for who in (ann, ann, make_user("bob")))
    assert client_with(here.access).post("/auth/logout/all/").status_code == 204
    statuses = [
        client_with(pair.access).get("/profiles/me/").status_code for pair in (here, there, bobs)
    ]
    assert statuses == [401, 401, 200]


def test_a_page_of_sessions_takes_three_queries(ann, django_assert_num_queries):
    for _ in range(5):
        family_create(user=ann)
    client = client_with(family_create(user=ann).access)
    with django_assert_num_queries(3):  # the session, the count, the page
        assert len(client.get("/auth/sessions/").json()["results"]) == 6
