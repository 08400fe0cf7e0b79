import logging
import re
import threading

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from rest_framework.test import APIClient

from accounts.mail import MAX_QUEUED_MAILS, send_in_background, wait_until_sent
from accounts.models import KnownAddress, User
from accounts.services import make_password_reset_credentials, user_password_reset
from accounts.tokens import family_create
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

NEW = "quite-another-horse-9"


class SlowBackend(EmailBackend):
    """A mail server that takes its time, until it is let go."""

    gate = threading.Event()

    def send_messages(self, messages):
        self.gate.wait(10)
        return super().send_messages(messages)


class BrokenBackend(EmailBackend):
    def send_messages(self, messages):
        raise ConnectionRefusedError(messages[0].body)


@pytest.fixture
def ann(make_user):
    return make_user("ann")


def client_with(pair):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    return client


def change(client, old=PASSWORD, new=NEW):
    return client.post("/auth/password/change/", {"old_password": old, "new_password": new})


def logs_in(password, name="ann"):
    sent = {"username": name, "password": password}
    return APIClient().post("/auth/token/", sent).status_code == 200


def test_a_change_ends_every_other_session_and_keeps_this_one(ann):
    here, there = family_create(user=ann), family_create(user=ann)
    assert change(client_with(here)).status_code == 204
    assert client_with(here).get("/profiles/me/").status_code == 200
    assert client_with(there).get("/profiles/me/").status_code == 401
    refreshed = APIClient().post("/auth/token/refresh/", {"refresh": there.refresh})
    assert refreshed.status_code == 401
    assert (logs_in(PASSWORD), logs_in(NEW)) == (False, True)


@pytest.mark.parametrize(
    ("old", "new", "field", "code"),
    [
        ("wrong", NEW, "old_password", "wrong_password"),
        (PASSWORD, "12345678", "new_password", "weak_password"),
        (PASSWORD, "ann@example.org", "new_password", "weak_password"),
        (PASSWORD, "x" * 300, "new_password", "max_length"),
    ],
)
def test_a_change_that_is_refused_names_the_field_and_changes_nothing(ann, old, new, field, code):
    here, there = family_create(user=ann), family_create(user=ann)
    answer = change(client_with(here), old, new)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert answer.json()["errors"][field][0]["code"] == code
    assert client_with(there).get("/profiles/me/").status_code == 200
    assert logs_in(PASSWORD)


def test_with_a_stolen_session_a_password_cannot_be_guessed_for_long(ann):
    client = client_with(family_create(user=ann))
    statuses = [change(client, old="guess").status_code for _ in range(12)]
    assert statuses == [400] * 10 + [429] * 2
    assert change(client).status_code == 429


def ask(email, client=None):
    answer = (client or APIClient()).post("/auth/password/reset/", {"email": email})
    wait_until_sent()
    return answer


def test_a_reset_mail_lets_its_reader_choose_a_password_once(ann):
    pair = family_create(user=ann)
    assert logs_in(PASSWORD)
    assert ask("ANN@example.org").status_code == 204
    (message,) = mail.outbox
    assert message.to == ["ann@example.org"]
    found = dict(re.findall(r"^(uid|token): (\S+)$", message.body, re.MULTILINE))
    body = {**found, "new_password": NEW}
    assert APIClient().post("/auth/password/reset/confirm/", body).status_code == 204
    assert client_with(pair).get("/profiles/me/").status_code == 401
    assert not KnownAddress.objects.exists()
    assert (logs_in(PASSWORD), logs_in(NEW)) == (False, True)
    again = APIClient().post("/auth/password/reset/confirm/", body)
    assert (again.status_code, list(again.json()["errors"])) == (400, ["token"])


def test_the_mail_leads_to_the_clients_page_where_there_is_one(ann, settings):
    settings.PASSWORD_RESET_URL = "https://app.example.org/reset?uid={uid}&token={token}"
    ask("ann@example.org")
    assert re.search(
        r"https://app\.example\.org/reset\?uid=\w+&token=\w+-\w+\n", mail.outbox[0].body
    )
    assert "within 60 minutes" in mail.outbox[0].body


def test_nobody_learns_from_the_answer_who_has_an_account(ann, make_user):
    make_user("gone", is_active=False)
    ghost = make_user("ghost")
    ghost.set_unusable_password()
    ghost.save()
    answers = [ask(f"{name}@example.org") for name in ("ann", "nobody", "gone", "ghost")]
    assert [answer.status_code for answer in answers] == [204] * 4
    assert {answer.content for answer in answers} == {b""}
    assert len({answer["RateLimit-Policy"] for answer in answers}) == 1
    assert [message.to for message in mail.outbox] == [["ann@example.org"]]


def test_a_slow_mail_server_keeps_nobody_waiting(ann, settings):
    settings.EMAIL_BACKEND = f"{__name__}.SlowBackend"
    for name in ("ann", "nobody"):
        sent = {"email": f"{name}@example.org"}
        assert APIClient().post("/auth/password/reset/", sent).status_code == 204
    assert mail.outbox == []
    SlowBackend.gate.set()
    wait_until_sent()
    assert len(mail.outbox) == 1


def test_a_mail_server_that_fails_is_logged_without_what_the_mail_holds(ann, settings, caplog):
    settings.EMAIL_BACKEND = f"{__name__}.BrokenBackend"
    assert ask("ann@example.org").status_code == 204
    (line,) = [each for each in caplog.records if each.name == "accounts.mail"]
    assert line.getMessage() == "A mail was not sent: ConnectionRefusedError"
    assert line.exc_info is None


def test_a_mail_that_goes_nowhere_for_want_of_a_server_is_logged(ann, settings, caplog):
    settings.EMAIL_BACKEND = settings.NO_EMAIL_BACKEND
    assert ask("ann@example.org").status_code == 204
    assert "EMAIL_URL is not set" in caplog.text


def test_mails_that_pile_up_are_dropped_and_not_kept_for_ever(caplog):
    gate = threading.Event()

    class Held:
        def send(self):
            gate.wait(10)

    send_in_background(Held())
    for _ in range(MAX_QUEUED_MAILS):
        send_in_background(None)
    gate.set()
    wait_until_sent()
    assert [each.levelno for each in caplog.records if each.name == "accounts.mail"] == [
        logging.ERROR
    ]


def test_a_mailbox_gets_three_mails_an_hour_and_the_answer_stays_the_same(ann):
    statuses = [ask("ann@example.org").status_code for _ in range(5)]
    assert statuses == [204] * 5
    assert len(mail.outbox) == 3


def test_an_address_asks_for_so_many_resets(api, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "password_reset": (2, 3600)}
    seen = [ask(f"a{n}@example.org", api).status_code for n in range(4)]
    assert seen == [204, 204, 429, 429]


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
def test_a_reset_with_something_else_is_refused_on_the_token(ann, changes):
    uid, token = make_password_reset_credentials(ann)
    body = {"uid": uid, "token": token, "new_password": NEW, **changes}
    answer = APIClient().post("/auth/password/reset/confirm/", body)
    assert answer.status_code == 400
    assert answer.json()["errors"]["token"][0]["code"] == "wrong_token"


def test_a_weak_password_gets_one_message_for_each_fault_wherever_it_is_chosen(ann, client_of):
    uid, token = make_password_reset_credentials(ann)
    weak = "123"
    new = {"username": "bob", "email": "bob@example.org", "password": weak}
    reset = {"uid": uid, "token": token, "new_password": weak}
    change = {"old_password": PASSWORD, "new_password": weak}
    anybody = APIClient()
    answers = [
        anybody.post("/auth/register/", new).json()["errors"]["password"],
        anybody.post("/auth/password/reset/confirm/", reset).json()["errors"]["new_password"],
        client_of(ann).post("/auth/password/change/", change).json()["errors"]["new_password"],
    ]
    assert answers[0] == answers[1] == answers[2]
    assert [error["code"] for error in answers[0]] == ["weak_password"] * 3


def test_a_weak_new_password_is_named_and_the_mail_can_be_used_again(ann):
    uid, token = make_password_reset_credentials(ann)
    body = {"uid": uid, "token": token, "new_password": "password"}
    answer = APIClient().post("/auth/password/reset/confirm/", body)
    assert answer.json()["errors"]["new_password"][0]["code"] == "weak_password"
    body["new_password"] = NEW
    assert APIClient().post("/auth/password/reset/confirm/", body).status_code == 204


def test_a_reset_ends_with_its_time_and_with_the_account(ann, settings):
    uid, token = make_password_reset_credentials(ann)
    body = {"uid": uid, "token": token, "new_password": NEW}
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert APIClient().post("/auth/password/reset/confirm/", body).status_code == 400
    settings.PASSWORD_RESET_TIMEOUT = 3600
    User.objects.update(is_active=False)
    assert APIClient().post("/auth/password/reset/confirm/", body).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_of_two_resets_with_one_mail_one_succeeds(make_user):
    ann = make_user("ann")
    uid, token = make_password_reset_credentials(ann)
    ended, gate = [], threading.Barrier(2)

    def reset(password):
        gate.wait()
        try:
            user_password_reset(uid=uid, token=token, new_password=password)
            ended.append("set")
        except Exception as error:
            ended.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=reset, args=(NEW + end,)) for end in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["ValidationError", "set"]
