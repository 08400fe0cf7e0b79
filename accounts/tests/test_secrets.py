"""Passwords, tokens and keys appear in no log, cache or table, and only in their own responses."""

import json
import logging
import re

import pytest
from django.apps import apps
from django.core import mail
from django.db.models import Model
from django_redis import get_redis_connection

from nexus.core.observability.logging import JsonFormatter
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

SECOND_PASSWORD, THIRD_PASSWORD = "quite-another-horse-9", "yet-another-horse-11"


class ListHandler(logging.Handler):
    def __init__(self):
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonFormatter())
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def log_lines():
    """All log lines of every level, except SQL statements, which Django logs in DEBUG mode only."""
    handler, root = ListHandler(), logging.getLogger()
    level_before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("django.db.backends").setLevel(logging.INFO)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level_before)


class Conversation:
    """Requests to the API, with the texts of the responses and the secrets in them."""

    def __init__(self, api, secrets):
        self.api = api
        self.secrets = list(secrets)
        self.responses = []

    def post(self, path, body, *, secret_fields=(), **headers):
        response = self.api.post(path, body, headers=headers)
        text = response.content.decode()
        for field in secret_fields:
            token = response.json()[field]
            self.secrets.append(token.rpartition(".")[2])
            text = text.replace(token, "")
        self.responses.append(text + str(response.headers))
        return response

    def request_reset(self, name):
        self.post("/auth/password/reset/", {"email": f"{name}@example.org"})


def read_credentials(message):
    return dict(re.findall(r"^(uid|token): (\S+)$", message.body, re.MULTILINE))


def read_all_stores():
    """Return all rows of all models, and all keys and values of the cache, as text."""
    models: list[type[Model]] = apps.get_models()
    rows = [list(model._base_manager.values()) for model in models]
    redis = get_redis_connection("default")
    cached = [(key, redis.dump(key)) for key in redis.keys("*")]
    return str(rows) + str(cached)


def test_secrets_appear_in_no_other_response_log_line_or_store(
    api, client, log_lines, settings, make_user, run_jobs
):
    make_user("boss", is_staff=True, is_superuser=True)
    passwords = [PASSWORD, SECOND_PASSWORD, THIRD_PASSWORD]
    talk = Conversation(api, [*passwords, settings.SECRET_KEY, *settings.JWT_SIGNING_KEYS])
    pair_fields = ("access", "refresh")
    credentials = {"username": "ann", "password": PASSWORD}
    account = {**credentials, "email": "ann@example.org"}

    # Registration, login and tokens, successful and not.
    talk.post("/auth/register/", account, secret_fields=pair_fields)
    talk.post("/auth/register/", account)
    pair = talk.post("/auth/token/", credentials, secret_fields=pair_fields).json()
    talk.post("/auth/token/", {**credentials, "password": SECOND_PASSWORD})
    talk.post("/auth/token/verify/", {"token": pair["access"]})
    talk.post("/auth/token/verify/", {"token": pair["access"] + "x"})
    refresh = {"refresh": pair["refresh"]}
    pair = talk.post("/auth/token/refresh/", refresh, secret_fields=pair_fields).json()

    # A personal access token, used and not.
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    body = {"name": "Script", "scopes": ["write"]}
    created = talk.post("/auth/access-tokens/", body, secret_fields=["token"], **bearer)
    token = {"Authorization": f"Bearer {created.json()['token']}"}
    assert talk.post("/playlists/", {"name": "Nights"}, **token).status_code == 201
    assert talk.post("/auth/access-tokens/", body, **token).status_code == 403
    talk.post("/auth/token/verify/", {"token": created.json()["token"]})

    # A failed and a successful password change.
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    body = {"old_password": SECOND_PASSWORD, "new_password": THIRD_PASSWORD}
    talk.post("/auth/password/change/", body, **bearer)
    body = {"old_password": PASSWORD, "new_password": SECOND_PASSWORD}
    assert talk.post("/auth/password/change/", body, **bearer).status_code == 204

    # A failed and a successful verification of the address, and a change of it.
    assert run_jobs() == []
    credentials = read_credentials(mail.outbox[0])
    talk.secrets.append(credentials["token"].rpartition(".")[2])
    body = {**credentials, "token": credentials["token"] + "x"}
    assert talk.post("/auth/email/verify/", body).status_code == 400
    assert talk.post("/auth/email/verify/", credentials).status_code == 204
    for password in (PASSWORD, SECOND_PASSWORD):
        body = {"email": "ann@example.net", "password": password}
        talk.post("/auth/email/change/", body, **bearer)
    assert run_jobs() == []
    change_mail = next(message for message in mail.outbox if message.to == ["ann@example.net"])
    credentials = read_credentials(change_mail)
    talk.secrets.append(credentials["token"].rpartition(".")[2])
    talk.responses.append(client.get("/auth/email/confirm/").content.decode())
    talk.responses.append(client.post("/auth/email/confirm/", {"uid": "x"}).content.decode())

    # A failed and a successful password reset.
    mail.outbox.clear()
    talk.request_reset("ann")
    talk.request_reset("nobody")
    assert run_jobs() == []
    credentials = read_credentials(mail.outbox[0])
    talk.secrets.append(credentials["token"])
    body = {**credentials, "new_password": "weak"}
    assert talk.post("/auth/password/reset/confirm/", body).status_code == 400
    body = {**credentials, "new_password": THIRD_PASSWORD}
    assert talk.post("/auth/password/reset/confirm/", body).status_code == 204
    talk.post("/auth/logout/", {"refresh": pair["refresh"]})

    # The admin and the public pages.
    for password in (SECOND_PASSWORD, PASSWORD):
        form = {"username": "boss", "password": password}
        talk.responses.append(client.post("/admin/login/", form).content.decode())
    talk.responses += [
        api.get(path).content.decode() for path in ("/swagger.json", "/metrics", "/")
    ]

    stored, logged = read_all_stores(), "\n".join(log_lines)
    assert len(log_lines) > 10
    assert all(json.loads(line) for line in log_lines)
    assert len(talk.secrets) == 3 + 1 + len(settings.JWT_SIGNING_KEYS) + 2 * 3 + 2 + 1 + 1
    for secret in talk.secrets:
        assert secret not in logged
        assert secret not in stored
        assert not [text for text in talk.responses if secret in text]
