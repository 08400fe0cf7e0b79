"""The guard of all staff pages: hostile filters, dates and ids are a client error."""

import json
import logging
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.db import transaction
from django.urls import reverse

from nexus.tests.hostile_values import MOMENTS

pytestmark = pytest.mark.django_db

VALUES = [*MOMENTS[:3], "10000-01-01", "\x00", "99999", "-1", "9" * 30, "1e400", "\ud800"]
LOOKUPS = ("", "__exact", "__gte", "__lt", "__year", "__month", "__date", "__in", "__isnull")


@pytest.fixture
def staff(client, make_user, settings):
    settings.RATE_LIMIT_SCALE = 10_000
    client.force_login(make_user("boss", is_staff=True, is_superuser=True))
    client.raise_request_exception = False
    return client


def encode(value):
    return quote(value, errors="surrogatepass")


MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_no_filter_of_a_list_causes_a_server_error(staff, model):
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    names = [field.name for field in model._meta.concrete_fields]
    failed = []
    for number, value in enumerate(VALUES):
        queries = [f"{name}={encode(value)}" for name in ("q", "o", "p", "_to_field")]
        # Each field meets each value, and each value each lookup, but not in all combinations.
        queries += [
            f"{name}{LOOKUPS[(number + position) % len(LOOKUPS)]}={encode(value)}"
            for position, name in enumerate(names)
        ]
        for query in queries:
            with transaction.atomic():
                status = staff.get(f"{url}?{query}").status_code
                transaction.set_rollback(True)
            if status >= 500:
                failed.append(f"{status} {query[:100]}")
    assert failed == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
@pytest.mark.parametrize("page", ["change", "delete", "history"])
def test_no_id_causes_a_server_error(staff, model, page):
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")

    for value in ["%00", "a%00b", "%ff", "9" * 30, "-1", "nan", "_5F", "_00", "1,2"]:
        with transaction.atomic():
            assert staff.get(f"{url}{value}/{page}/").status_code < 500
            transaction.set_rollback(True)


@pytest.mark.parametrize(
    "query",
    [
        {"created_at__year": "99999"},
        {"created_at__gte": "0001-01-01T00:00:00+23:59"},
        {"created_at": "\x00"},
    ],
)
def test_a_value_that_cannot_be_stored_is_a_400_with_a_traceback_in_the_log(staff, query, caplog):
    caplog.set_level(logging.INFO)

    response = staff.get(f"/admin/social/reviewreport/?{urlencode(query)}")

    # Django redirects from a lookup that it rejects by itself.
    assert response.status_code in (302, 400)
    if response.status_code == 400:
        assert json.loads(response.content)["code"] == "bad_request"
        (record,) = [record for record in caplog.records if record.name == "nexus.request"]
        assert (record.levelname, bool(record.exc_info)) == ("WARNING", True)
