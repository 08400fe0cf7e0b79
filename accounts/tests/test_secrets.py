"""Passwords, tokens and keys: in no answer but to whom they are for, no log line, cache or table."""

import json
import logging
import re

import pytest
from django.apps import apps
from django.core import mail
from django.db.models import Model
from django_redis import get_redis_connection

from accounts.mail import wait_until_sent
from nexus.core.observability.logging import JsonFormatter
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

NEW, NEWEST = "quite-another-horse-9", "yet-another-horse-11"


class Lines(logging.Handler):
    def __init__(self):
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonFormatter())
        self.written = []

    def emit(self, record):
        self.written.append(self.format(record))


@pytest.fixture
def lines():
    """All that is logged, at every level but SQL's own, which is off outside of DEBUG."""
    handler, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("django.db.backends").setLevel(logging.INFO)
    yield handler.written
    root.removeHandler(handler)
    root.setLevel(before)


def everything_stored():
    """All rows of all models, and all keys and values of the cache."""
    models: list[type[Model]] = apps.get_models()
    rows = [list(model._base_manager.values()) for model in models]
    redis = get_redis_connection("default")
    kept = [(key, redis.dump(key)) for key in redis.keys("*")]
    return str(rows) + str(kept)


def test_no_secret_is_told_logged_or_stored(api, client, lines, settings, make_user):
    make_user("boss", is_staff=True, is_superuser=True)
    told, secrets = [], [PASSWORD, NEW, NEWEST, settings.SECRET_KEY, *settings.JWT_SIGNING_KEYS]

    def post(path, body, *, told_secrets=(), **headers):
        answer = api.post(path, body, headers=headers)
        text = answer.content.decode()
        for name in told_secrets:
            secrets.append(answer.json()[name].rpartition(".")[2])
            text = text.replace(answer.json()[name], "")
        told.append(text + str(answer.headers))
        return answer

    def asked(name):
        answer = api.post("/auth/password/reset/", {"email": f"{name}@example.org"})
        wait_until_sent()
        told.append(answer.content.decode())

    both = ("access", "refresh")
    account = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}
    post("/auth/register/", account, told_secrets=both)
    post("/auth/register/", account)
    pair = post("/auth/token/", account, told_secrets=both).json()
    post("/auth/token/", {**account, "password": NEW})
    post("/auth/token/verify/", {"token": pair["access"]})
    post("/auth/token/verify/", {"token": pair["access"] + "x"})
    pair = post("/auth/token/refresh/", {"refresh": pair["refresh"]}, told_secrets=both).json()
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    wrong = {"old_password": NEW, "new_password": NEWEST}
    post("/auth/password/change/", wrong, **bearer)
    right = {"old_password": PASSWORD, "new_password": NEW}
    assert post("/auth/password/change/", right, **bearer).status_code == 204
    asked("ann")
    asked("nobody")
    found = dict(re.findall(r"^(uid|token): (\S+)$", mail.outbox[0].body, re.MULTILINE))
    secrets.append(found["token"])
    reset = {**found, "new_password": "weak"}
    assert post("/auth/password/reset/confirm/", reset).status_code == 400
    reset = {**found, "new_password": NEWEST}
    assert post("/auth/password/reset/confirm/", reset).status_code == 204
    post("/auth/logout/", {"refresh": pair["refresh"]})
    for password in (NEW, PASSWORD):
        form = {"username": "boss", "password": password}
        told.append(client.post("/admin/login/", form).content.decode())
    told += [api.get(path).content.decode() for path in ("/swagger.json", "/metrics", "/")]

    stored, logged = everything_stored(), "\n".join(lines)
    assert len(lines) > 10
    assert all(json.loads(line) for line in lines)
    assert len(secrets) == 3 + 1 + len(settings.JWT_SIGNING_KEYS) + 2 * 3 + 1
    for secret in secrets:
        assert secret not in logged
        assert secret not in stored
        assert not [text for text in told if secret in text]
