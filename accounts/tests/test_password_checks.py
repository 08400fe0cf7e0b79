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
from accounts.services import MAX_KNOWN_ADDRESSES, known_address_record
from nexus.core.models import LimitWindow
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"


def log_in(address=ELSEWHERE, name="ann", password="wrong", **headers):
    body = {"username": name, "password": password}
    return APIClient(REMOTE_ADDR=address).post("/auth/token/", body, headers=headers)


def log_in_to_the_admin(client, address, name="boss", password="wrong"):
    form = {"username": name, "password": password}
    return client.post("/admin/login/?next=/admin/", form, REMOTE_ADDR=address)


@pytest.fixture
def boss(make_user):
    return make_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def limit_of(settings):
    def set_limit(scope, requests, window_s=300):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, scope: (requests, window_s)}

    return set_limit


@pytest.fixture
def without_cache(settings, tmp_path):
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = caches


def wrong_at_once(times, threads=16):
    """How each of so many wrong logins, with forged headers and from many addresses, ended."""
    gate = threading.Barrier(threads)

    def guess(number):
        gate.wait()
        statuses = []
        for turn in range(times // threads):
            forged = f"10.{number}.{turn}.{random.randrange(256)}"
            address = f"198.51.100.{number}"
            answer = log_in(address, **{"X-Forwarded-For": forged, "X-Real-IP": forged})
            statuses.append(answer.status_code)
            connection.close()
        return statuses

    with ThreadPoolExecutor(threads) as pool:
        return Counter(status for some in pool.map(guess, range(threads)) for status in some)


@pytest.mark.django_db(transaction=True)
def test_at_most_ten_wrong_passwords_reach_the_hasher_however_many_arrive_at_once(make_user):
    make_user("ann")
    assert wrong_at_once(160) == {401: 10, 429: 150}
    assert log_in(password=PASSWORD).status_code == 429


@pytest.mark.django_db(transaction=True)
def test_without_the_cache_it_is_ten_all_the_same(make_user, without_cache):
    make_user("ann")
    assert wrong_at_once(64) == {401: 10, 429: 54}


def test_without_the_cache_an_address_is_limited_all_the_same(without_cache, limit_of):
    limit_of("login", 3)
    statuses = [log_in(name=f"nobody-{number}").status_code for number in range(5)]
    assert statuses == [401] * 3 + [429] * 2


def test_the_owner_logs_in_from_a_known_address_whatever_strangers_try(make_user):
    make_user("ann")
    assert log_in(HOME, password=PASSWORD).status_code == 200
    assert [log_in().status_code for _ in range(12)] == [401] * 10 + [429] * 2
    assert log_in(HOME, password=PASSWORD).status_code == 200
    assert log_in("192.0.2.1", password=PASSWORD).status_code == 429


def test_a_known_address_has_ten_wrong_passwords_of_its_own(make_user, limit_of):
    limit_of("login", 100)
    make_user("ann")
    log_in(HOME, password=PASSWORD)
    assert [log_in(HOME).status_code for _ in range(12)] == [401] * 10 + [429] * 2
    answer = log_in(HOME, password=PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 300


def test_a_right_password_counts_for_nothing_and_pardons_no_stranger(make_user, limit_of):
    limit_of("login", 100)
    make_user("ann")
    assert [log_in().status_code for _ in range(9)] == [401] * 9
    for _ in range(12):
        assert log_in(HOME, password=PASSWORD).status_code == 200
    assert [log_in().status_code for _ in range(2)] == [401, 429]


def test_the_limit_of_all_accounts_together_lets_known_addresses_pass(make_user, limit_of):
    limit_of("login_overall", 5)
    make_user("ann")
    make_user("bob")
    log_in(HOME, password=PASSWORD)
    statuses = [log_in(name=f"nobody-{number}").status_code for number in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert log_in(name="bob", password=PASSWORD).status_code == 429
    assert log_in(HOME, password=PASSWORD).status_code == 200
    # What was refused before the hasher is not held against the account.
    LimitWindow.objects.filter(key__startswith="limit:login_overall").delete()
    assert log_in(name="bob", password=PASSWORD).status_code == 200


def test_a_name_of_digits_does_not_spend_the_count_of_the_member_with_that_id(make_user, limit_of):
    limit_of("login", 100)
    ann = make_user("ann")
    assert [log_in(name=str(ann.pk)).status_code for _ in range(11)] == [401] * 10 + [429]
    assert log_in(password=PASSWORD).status_code == 200


def test_known_and_unknown_accounts_are_told_the_same(make_user, limit_of):
    limit_of("login", 100)
    make_user("ann")
    for _ in range(11):
        known, unknown = log_in(name="ann"), log_in(name="nobody")
        assert known.status_code == unknown.status_code
        told = [{**each.json(), "request_id": None} for each in (known, unknown)]
        assert told[0] == told[1]
        assert known["RateLimit-Policy"] == unknown["RateLimit-Policy"]


def test_known_and_unknown_accounts_take_the_same_queries(make_user, django_assert_num_queries):
    make_user("ann")
    for name in ("ann", "nobody", "ann@example.org"):
        # The member, the address, and two counts.
        with django_assert_num_queries(4):
            log_in(name=name)


def test_of_addresses_only_hashes_are_kept_and_only_the_newest(make_user):
    ann, bob = make_user("ann"), make_user("bob")
    for number in range(MAX_KNOWN_ADDRESSES + 3):
        known_address_record(user_id=ann.pk, address=f"192.0.2.{number}")
    known_address_record(user_id=ann.pk, address="192.0.2.10")
    known_address_record(user_id=bob.pk, address="192.0.2.10")
    known = [
        number
        for number in range(MAX_KNOWN_ADDRESSES + 3)
        if is_known_address(user_id=ann.pk, address=f"192.0.2.{number}")
    ]
    assert known == list(range(3, MAX_KNOWN_ADDRESSES + 3))
    assert "192.0.2" not in str(list(KnownAddress.objects.values()))
    digests = KnownAddress.objects.values_list("digest", flat=True)
    assert len(set(digests)) == MAX_KNOWN_ADDRESSES + 1


def test_an_address_of_a_member_who_is_leaving_is_not_kept(make_user):
    ann = make_user("ann")
    pk = ann.pk
    ann.delete()
    known_address_record(user_id=pk, address=HOME)
    assert not KnownAddress.objects.exists()


def test_the_admins_login_is_under_the_same_limits(client, boss):
    assert [log_in(name="boss").status_code for _ in range(5)] == [401] * 5
    seen = [log_in_to_the_admin(client, "192.0.2.1").status_code for _ in range(6)]
    assert seen == [200] * 5 + [429]
    answer = log_in_to_the_admin(client, "192.0.2.1", password=PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 300
    assert b"Too many attempts. Try again in" in answer.content
    assert log_in(name="boss", password=PASSWORD).status_code == 429


def test_the_admins_login_has_the_limit_of_its_address(client, boss, limit_of):
    limit_of("login", 2)
    for number, status in enumerate([200, 200, 429]):
        assert log_in_to_the_admin(client, HOME, name=f"n{number}").status_code == status


def test_staff_log_in_to_the_admin_by_name_or_address_and_others_do_not(client, boss, make_user):
    make_user("ann")
    answer = log_in_to_the_admin(client, HOME, name="ann", password=PASSWORD)
    assert b"Please enter the correct username and password for a staff account" in answer.content
    assert b"Please enter the correct" in log_in_to_the_admin(client, HOME).content
    answer = log_in_to_the_admin(client, HOME, name="BOSS@example.org", password=PASSWORD)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert is_known_address(user_id=boss.pk, address=HOME)


# --- Wherever a password is tried ----------------------------------------------------------------


def by_token(boss, client, password, address):
    return log_in(address, name="boss", password=password)


def by_the_admins_login(boss, client, password, address):
    return log_in_to_the_admin(Client(), address, password=password)


def by_a_change(boss, client, password, address):
    body = {"old_password": password, "new_password": "quite-another-horse-9"}
    return client.post("/auth/password/change/", body, REMOTE_ADDR=address)


def by_the_admins_change(boss, client, password, address):
    staff = Client()
    staff.force_login(boss)
    form = {"old_password": password, "new_password1": "another-horse-9"}
    form |= {"new_password2": "another-horse-9"}
    return staff.post("/admin/password_change/", form, REMOTE_ADDR=address)


def by_leaving(boss, client, password, address):
    return client.delete("/profiles/me/", {"password": password}, REMOTE_ADDR=address)


# With the status of a wrong password.
DOORS = {by_token: 401, by_the_admins_login: 200, by_a_change: 400, by_the_admins_change: 200}
DOORS |= {by_leaving: 400}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("scope", ["login", "login_account", "login_overall"])
def test_each_door_spends_and_heeds_each_limit(boss, client_of, limit_of, scope, door):
    client = client_of(boss)
    for each in ("login", "login_account", "login_overall"):
        limit_of(each, 3 if each == scope else 100)
    # The right password is not let in either, and what one door has spent is spent for the others.
    for number, guess in enumerate([door, by_token, door]):
        address = ELSEWHERE if scope == "login" else f"192.0.2.{number}"
        assert guess(boss, client, "wrong", address).status_code == DOORS[guess]
    address = ELSEWHERE if scope == "login" else "192.0.2.99"
    for guess in DOORS:
        answer = guess(boss, client, PASSWORD, address)
        assert (guess, answer.status_code) == (guess, 429)
        assert 0 < int(answer["Retry-After"]) <= 300
