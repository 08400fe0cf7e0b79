"""The limits of failed logins, at every place that accepts a password."""

import copy
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import KnownAddress
from accounts.selectors import is_known_address
from accounts.services import known_address_record
from nexus.core.models import LimitWindow
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"
STAFF_ONLY = b"Please enter the correct username and password for a staff account"


def log_in(address=ELSEWHERE, name="ann", password="wrong", **headers):
    body = {"username": name, "password": password}
    return APIClient(REMOTE_ADDR=address).post("/auth/token/", body, headers=headers)


def log_in_repeatedly(times, *arguments, **options):
    """Log in so many times and return the statuses."""
    return [log_in(*arguments, **options).status_code for _ in range(times)]


def log_in_to_admin(client, address, name="boss", password="wrong"):
    form = {"username": name, "password": password}
    return client.post("/admin/login/?next=/admin/", form, REMOTE_ADDR=address)


@pytest.fixture
def boss(make_user):
    return make_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def set_limit(settings):
    """Return a function that changes the limit of a scope."""

    def set_limit(scope, requests, window_s=300):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, scope: (requests, window_s)}

    return set_limit


@pytest.fixture
def without_cache(settings, tmp_path):
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/missing.sock"
    settings.CACHES = caches


def log_in_simultaneously(times, threads=16):
    """Try wrong passwords from many addresses with forged headers; count the statuses."""
    gate = threading.Barrier(threads)

    def guess(number):
        gate.wait()
        statuses = []
        for turn in range(times // threads):
            forged = f"10.{number}.{turn}.{random.randrange(256)}"
            address = f"198.51.100.{number}"
            response = log_in(address, **{"X-Forwarded-For": forged, "X-Real-IP": forged})
            statuses.append(response.status_code)
            connection.close()
        return statuses

    with ThreadPoolExecutor(threads) as pool:
        return Counter(
            status for statuses in pool.map(guess, range(threads)) for status in statuses
        )


# --- The limits of one account and of all accounts ------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_ten_of_many_simultaneous_wrong_passwords_are_checked(make_user):
    make_user("ann")

    statuses = log_in_simultaneously(160)

    assert statuses == {401: 10, 429: 150}
    assert log_in(password=PASSWORD).status_code == 429


@pytest.mark.django_db(transaction=True)
def test_limit_of_an_account_holds_without_the_cache(make_user, without_cache):
    make_user("ann")

    statuses = log_in_simultaneously(64)

    assert statuses == {401: 10, 429: 54}


def test_limit_of_an_address_holds_without_the_cache(without_cache, set_limit):
    set_limit("login", 3)

    statuses = [log_in(name=f"nobody-{number}").status_code for number in range(5)]

    assert statuses == [401] * 3 + [429] * 2


def test_attackers_elsewhere_do_not_lock_the_owner_out_of_a_known_address(make_user):
    make_user("ann")
    assert log_in(HOME, password=PASSWORD).status_code == 200

    attacks = log_in_repeatedly(12)

    assert attacks == [401] * 10 + [429] * 2
    assert log_in(HOME, password=PASSWORD).status_code == 200
    assert log_in("192.0.2.1", password=PASSWORD).status_code == 429


def test_known_address_has_a_limit_of_its_own(make_user, set_limit):
    set_limit("login", 100)
    make_user("ann")
    log_in(HOME, password=PASSWORD)

    failures = log_in_repeatedly(12, HOME)
    response = log_in(HOME, password=PASSWORD)

    assert failures == [401] * 10 + [429] * 2
    assert (response.status_code, response.json()["code"]) == (429, "throttled")
    assert 0 < int(response["Retry-After"]) <= 300


def test_successful_login_spends_no_limit_and_resets_none(make_user, set_limit):
    set_limit("login", 100)
    make_user("ann")

    failures_before = log_in_repeatedly(9)
    successes = log_in_repeatedly(12, HOME, password=PASSWORD)
    failures_after = log_in_repeatedly(2)

    assert failures_before == [401] * 9
    assert successes == [200] * 12
    assert failures_after == [401, 429]


def test_known_addresses_are_exempt_from_the_limit_of_all_accounts(make_user, set_limit):
    set_limit("login_overall", 5)
    make_user("ann")
    make_user("bob")
    log_in(HOME, password=PASSWORD)

    attacks = [log_in(name=f"nobody-{number}").status_code for number in range(7)]

    assert attacks == [401] * 5 + [429] * 2
    assert log_in(name="bob", password=PASSWORD).status_code == 429
    assert log_in(HOME, password=PASSWORD).status_code == 200


def test_login_throttled_by_the_limit_of_all_accounts_is_refunded_to_the_account(
    make_user, set_limit
):
    set_limit("login_overall", 1)
    set_limit("login_account", 1)
    make_user("bob")
    log_in(name="nobody")
    throttled = log_in(name="bob", password=PASSWORD)
    LimitWindow.objects.filter(key__startswith="limit:login_overall").delete()

    response = log_in(name="bob", password=PASSWORD)

    assert (throttled.status_code, response.status_code) == (429, 200)


def test_username_of_digits_does_not_spend_the_limit_of_the_user_with_that_id(make_user, set_limit):
    set_limit("login", 100)
    ann = make_user("ann")

    failures = log_in_repeatedly(11, name=str(ann.pk))

    assert failures == [401] * 10 + [429]
    assert log_in(password=PASSWORD).status_code == 200


def test_responses_are_the_same_for_known_and_unknown_accounts(make_user, set_limit):
    set_limit("login", 100)
    make_user("ann")

    for _ in range(11):
        known, unknown = log_in(name="ann"), log_in(name="nobody")

        assert known.status_code == unknown.status_code
        assert {**known.json(), "request_id": None} == {**unknown.json(), "request_id": None}
        assert known["RateLimit-Policy"] == unknown["RateLimit-Policy"]


@pytest.mark.parametrize("name", ["ann", "nobody", "ann@example.org"])
def test_known_and_unknown_accounts_take_the_same_queries(
    make_user, django_assert_num_queries, name
):
    make_user("ann")

    with django_assert_num_queries(4):  # the user, the address and two counts
        log_in(name=name)


# --- Known addresses ------------------------------------------------------------------------------


def test_latest_addresses_are_stored_as_hashes(make_user, settings):
    ann, bob = make_user("ann"), make_user("bob")
    addresses = [
        f"192.0.2.{number}" for number in range(settings.MEMBER_QUOTAS["known_addresses"] + 3)
    ]

    for address in addresses:
        known_address_record(user_id=ann.pk, address=address)
    known_address_record(user_id=ann.pk, address=addresses[-1])
    known_address_record(user_id=bob.pk, address=addresses[-1])

    known = [address for address in addresses if is_known_address(user_id=ann.pk, address=address)]
    assert known == addresses[3:]
    assert "192.0.2" not in str(list(KnownAddress.objects.values()))
    digests = KnownAddress.objects.values_list("digest", flat=True)
    assert len(set(digests)) == settings.MEMBER_QUOTAS["known_addresses"] + 1


def test_address_of_a_deleted_user_is_not_stored(make_user):
    ann = make_user("ann")
    user_id = ann.pk
    ann.delete()

    known_address_record(user_id=user_id, address=HOME)

    assert not KnownAddress.objects.exists()


# --- The admin ------------------------------------------------------------------------------------


def test_admin_login_shares_the_limit_of_the_account_with_the_api(client, boss):
    api_failures = log_in_repeatedly(5, name="boss")
    admin_failures = [log_in_to_admin(client, "192.0.2.1").status_code for _ in range(6)]
    response = log_in_to_admin(client, "192.0.2.1", password=PASSWORD)

    assert api_failures == [401] * 5
    assert admin_failures == [200] * 5 + [429]
    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 300
    assert b"Too many attempts. Try again in" in response.content
    assert log_in(name="boss", password=PASSWORD).status_code == 429


def test_admin_login_has_the_limit_of_the_address(client, boss, set_limit):
    set_limit("login", 2)

    statuses = [log_in_to_admin(client, HOME, name=f"n{number}").status_code for number in range(3)]

    assert statuses == [200, 200, 429]


def test_admin_rejects_wrong_passwords_and_users_who_are_not_staff(client, boss, make_user):
    make_user("ann")

    not_staff = log_in_to_admin(client, HOME, name="ann", password=PASSWORD)
    wrong_password = log_in_to_admin(client, HOME)

    assert STAFF_ONLY in not_staff.content
    assert STAFF_ONLY in wrong_password.content


def test_staff_log_in_to_the_admin_by_email_address(client, boss):
    response = log_in_to_admin(client, HOME, name="BOSS@example.org", password=PASSWORD)

    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert is_known_address(user_id=boss.pk, address=HOME)


# --- Every place that accepts a password ----------------------------------------------------------


def try_token(boss, client, password, address):
    return log_in(address, name="boss", password=password)


def try_admin_login(boss, client, password, address):
    return log_in_to_admin(Client(), address, password=password)


def try_password_change(boss, client, password, address):
    body = {"old_password": password, "new_password": "quite-another-horse-9"}
    return client.post("/auth/password/change/", body, REMOTE_ADDR=address)


def try_admin_password_change(boss, client, password, address):
    staff_client = Client()
    staff_client.force_login(boss)
    form = {
        "old_password": password,
        "new_password1": "another-horse-9",
        "new_password2": "another-horse-9",
    }
    return staff_client.post("/admin/password_change/", form, REMOTE_ADDR=address)


def try_account_deletion(boss, client, password, address):
    return client.delete("/profiles/me/", {"password": password}, REMOTE_ADDR=address)


# The status of each for a wrong password.
ATTEMPTS = {
    try_token: 401,
    try_admin_login: 200,
    try_password_change: 400,
    try_admin_password_change: 200,
    try_account_deletion: 400,
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("scope", ["login", "login_account", "login_overall"])
def test_all_places_share_each_limit(boss, client_of, set_limit, scope, attempt):
    client = client_of(boss)
    for name in ("login", "login_account", "login_overall"):
        set_limit(name, 3 if name == scope else 100)

    for number, fail in enumerate([attempt, try_token, attempt]):
        address = ELSEWHERE if scope == "login" else f"192.0.2.{number}"
        assert fail(boss, client, "wrong", address).status_code == ATTEMPTS[fail]

    # The right password is throttled too.
    address = ELSEWHERE if scope == "login" else "192.0.2.99"
    for succeed in ATTEMPTS:
        response = succeed(boss, client, PASSWORD, address)
        assert (succeed, response.status_code) == (succeed, 429)
        assert 0 < int(response["Retry-After"]) <= 300
