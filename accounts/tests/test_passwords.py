"""Changing a password and resetting it by mail."""

import re
import threading
import traceback

import pytest
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from rest_framework.test import APIClient

from accounts.mail import MailFailedError
from accounts.mail_tokens import make_password_reset_credentials
from accounts.models import KnownAddress, User
from accounts.services import user_password_reset
from accounts.tokens import family_create
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "quite-another-horse-9"


class BrokenBackend(EmailBackend):
    def send_messages(self, messages):
        raise ConnectionRefusedError(messages[0].body)


def make_client(pair):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    return client


def get_profile_status(pair):
    return make_client(pair).get("/profiles/me/").status_code


def change_password(client, old=PASSWORD, new=NEW_PASSWORD):
    return client.post("/auth/password/change/", {"old_password": old, "new_password": new})


def can_log_in(password):
    body = {"username": "ann", "password": password}
    return APIClient().post("/auth/token/", body).status_code == 200


def request_reset(email, client=None):
    return (client or APIClient()).post("/auth/password/reset/", {"email": email})


def make_reset_body(user, **changes):
    uid, token = make_password_reset_credentials(user)
    return {"uid": uid, "token": token, "new_password": NEW_PASSWORD, **changes}


def confirm_reset(body):
    return APIClient().post("/auth/password/reset/confirm/", body)


# --- Change --------------------------------------------------------------------------------------


def test_change_ends_all_other_sessions(ann):
    current, other = family_create(user=ann), family_create(user=ann)

    response = change_password(make_client(current))

    assert response.status_code == 204
    assert [get_profile_status(pair) for pair in (current, other)] == [200, 401]
    refresh = APIClient().post("/auth/token/refresh/", {"refresh": other.refresh})
    assert refresh.status_code == 401
    assert not can_log_in(PASSWORD)
    assert can_log_in(NEW_PASSWORD)


@pytest.mark.parametrize(
    ("old", "new", "field", "code"),
    [
        ("wrong", NEW_PASSWORD, "old_password", "wrong_password"),
        (PASSWORD, "12345678", "new_password", "weak_password"),
        (PASSWORD, "ann@example.org", "new_password", "weak_password"),
        (PASSWORD, "x" * 300, "new_password", "max_length"),
    ],
)
def test_rejected_change_names_the_field_and_changes_nothing(ann, old, new, field, code):
    current, other = family_create(user=ann), family_create(user=ann)

    response = change_password(make_client(current), old, new)

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]
    assert response.json()["errors"][field][0]["code"] == code
    assert get_profile_status(other) == 200
    assert can_log_in(PASSWORD)


def test_stolen_session_allows_ten_guesses_of_the_password(ann):
    client = make_client(family_create(user=ann))

    statuses = [change_password(client, old="guess").status_code for _ in range(12)]

    assert statuses == [400] * 10 + [429] * 2
    assert change_password(client).status_code == 429


# --- Request of a reset --------------------------------------------------------------------------


def test_reset_mail_sets_a_password_once_and_ends_all_sessions(ann, run_jobs):
    pair = family_create(user=ann)
    assert can_log_in(PASSWORD)

    request = request_reset("ANN@example.org")
    run_jobs()
    (message,) = mail.outbox
    credentials = dict(re.findall(r"^(uid|token): (\S+)$", message.body, re.MULTILINE))
    body = {**credentials, "new_password": NEW_PASSWORD}
    confirmation = confirm_reset(body)
    second_confirmation = confirm_reset(body)

    assert (request.status_code, confirmation.status_code) == (204, 204)
    assert message.to == ["ann@example.org"]
    assert get_profile_status(pair) == 401
    assert not KnownAddress.objects.exists()
    assert second_confirmation.status_code == 400
    assert list(second_confirmation.json()["errors"]) == ["token"]
    assert not can_log_in(PASSWORD)
    assert can_log_in(NEW_PASSWORD)


def test_mail_links_to_the_page_in_the_settings(ann, run_jobs, settings):
    settings.PASSWORD_RESET_URL = "https://app.example.org/reset?uid={uid}&token={token}"

    request_reset("ann@example.org")
    run_jobs()

    body = mail.outbox[0].body
    assert re.search(r"https://app\.example\.org/reset\?uid=\w+&token=\w+-\w+\n", body)
    assert "within 60 minutes" in body


def test_response_does_not_reveal_whether_an_account_exists(ann, make_user, run_jobs):
    make_user("inactive", is_active=False)
    user = make_user("passwordless")
    user.set_unusable_password()
    user.save()

    names = ("ann", "nobody", "inactive", "passwordless")
    responses = [request_reset(f"{name}@example.org") for name in names]
    jobs = ProcrastinateJob.objects.filter(task_name="accounts.tasks.send_password_reset_mail")
    queued = [job.args for job in jobs.order_by("id")]
    run_jobs()

    assert queued == [{"user_id": ann.pk}] + [{"user_id": 0}] * 3
    assert [response.status_code for response in responses] == [204] * 4
    assert {response.content for response in responses} == {b""}
    assert len({response["RateLimit-Policy"] for response in responses}) == 1
    assert [message.to for message in mail.outbox] == [["ann@example.org"]]


def test_mailbox_gets_three_mails_an_hour_and_the_response_stays_the_same(ann, run_jobs):
    statuses = [request_reset("ann@example.org").status_code for _ in range(5)]
    run_jobs()

    assert statuses == [204] * 5
    assert len(mail.outbox) == 3


def test_client_address_has_a_limit_of_requests(api, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "password_reset": (2, 3600)}

    statuses = [request_reset(f"a{n}@example.org", api).status_code for n in range(4)]

    assert statuses == [204, 204, 429, 429]


# --- Sending mails -------------------------------------------------------------------------------


def test_failure_of_the_mail_server_is_retried_and_reported_without_the_mail(
    ann, run_jobs, settings
):
    settings.EMAIL_BACKEND = f"{__name__}.BrokenBackend"

    response = request_reset("ann@example.org")
    (error,) = run_jobs()

    assert response.status_code == 204
    assert isinstance(error, MailFailedError)
    assert "".join(traceback.format_exception(error)).count("ann@example.org") == 0
    job = ProcrastinateJob.objects.get(task_name="accounts.tasks.send_password_reset_mail")
    assert (job.status, job.attempts) == ("todo", 1)
    assert job.scheduled_at > timezone.now()


def test_mail_is_not_sent_to_an_account_that_was_deactivated_meanwhile(ann, run_jobs):
    request_reset("ann@example.org")
    User.objects.filter(pk=ann.pk).update(is_active=False)

    errors = run_jobs()

    assert errors == []
    assert mail.outbox == []


def test_mail_without_a_mail_server_is_logged(ann, run_jobs, settings, caplog):
    settings.EMAIL_BACKEND = settings.NO_EMAIL_BACKEND

    response = request_reset("ann@example.org")
    run_jobs()

    assert response.status_code == 204
    assert "EMAIL_URL is not set" in caplog.text


# --- Confirmation of a reset ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": "x"},
        {"uid": "\u00e9"},
        {"uid": "LTE"},
        {"uid": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"},
        {"token": "x"},
        {"token": "c0ffee-" + "0" * 32},
    ],
)
def test_wrong_uid_or_token_is_rejected_on_the_token(ann, changes):
    response = confirm_reset(make_reset_body(ann, **changes))

    assert response.status_code == 400
    assert response.json()["errors"]["token"][0]["code"] == "wrong_token"


def test_weak_password_gets_the_same_messages_everywhere(ann, client_of):
    registration = {"username": "bob", "email": "bob@example.org", "password": "123"}

    errors = [
        APIClient().post("/auth/register/", registration).json()["errors"]["password"],
        confirm_reset(make_reset_body(ann, new_password="123")).json()["errors"]["new_password"],
        change_password(client_of(ann), new="123").json()["errors"]["new_password"],
    ]

    assert errors[0] == errors[1] == errors[2]
    assert [error["code"] for error in errors[0]] == ["weak_password"] * 3


def test_mail_can_be_used_again_after_a_weak_password(ann):
    body = make_reset_body(ann)

    weak = confirm_reset({**body, "new_password": "password"})
    strong = confirm_reset(body)

    assert weak.json()["errors"]["new_password"][0]["code"] == "weak_password"
    assert strong.status_code == 204


def test_login_in_between_does_not_void_the_mail(ann):
    body = make_reset_body(ann)

    logged_in = can_log_in(PASSWORD)
    confirmation = confirm_reset(body)

    assert logged_in
    assert User.objects.get().last_login is not None
    assert confirmation.status_code == 204
    assert can_log_in(NEW_PASSWORD)


@pytest.mark.parametrize(
    ("field", "value"),
    [("password", make_password("changed-meanwhile-5")), ("email", "ann@elsewhere.example")],
    ids=["password", "email"],
)
def test_mail_is_void_after_the_password_or_the_address_has_changed(ann, field, value):
    body = make_reset_body(ann)

    User.objects.update(**{field: value})

    assert confirm_reset(body).status_code == 400


def test_mail_survives_every_other_change_of_the_account(ann):
    body = make_reset_body(ann)

    User.objects.update(
        last_login=timezone.now(), username="anna", display_name="Ann", visibility="private"
    )

    assert confirm_reset(body).status_code == 204


def test_expired_mail_is_rejected(ann, settings):
    body = make_reset_body(ann)
    settings.PASSWORD_RESET_TIMEOUT = -1

    assert confirm_reset(body).status_code == 400


def test_mail_of_a_deactivated_account_is_rejected(ann):
    body = make_reset_body(ann)
    User.objects.update(is_active=False)

    assert confirm_reset(body).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_resets_with_one_mail_succeeds(make_user):
    uid, token = make_password_reset_credentials(make_user("ann"))
    outcomes, gate = [], threading.Barrier(2)

    def reset(password):
        gate.wait()
        try:
            user_password_reset(uid=uid, token=token, new_password=password)
            outcomes.append("success")
        except Exception as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=reset, args=(NEW_PASSWORD + end,)) for end in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["ValidationError", "success"]
