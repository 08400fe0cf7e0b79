"""Verification of e-mail addresses, their change, and what an unverified address may not do."""

import re
import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from rest_framework.test import APIClient

from accounts.mail import MailFailedError
from accounts.mail_tokens import make_password_reset_credentials, make_verification_credentials
from accounts.models import User
from accounts.services import guest_create, user_email_verify, user_password_change
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

ADDRESS, NEW_ADDRESS = "ann@example.org", "ann@elsewhere.example"
NEW_PASSWORD = "quite-another-horse-9"


class BrokenBackend(EmailBackend):
    def send_messages(self, messages):
        raise ConnectionRefusedError("down")


@pytest.fixture
def ann(make_user):
    """A member whose address is not verified yet."""
    return make_user("ann", email=ADDRESS, email_verified=False)


@pytest.fixture
def verified_ann(make_user):
    return make_user("ann", email=ADDRESS)


def register(username, email=ADDRESS, client=None):
    body = {"username": username, "email": email, "password": PASSWORD}
    return (client or APIClient()).post("/auth/register/", body)


def read_credentials(message):
    return dict(re.findall(r"^(uid|token): (\S+)$", message.body, re.MULTILINE))


def make_credentials(user, email):
    return dict(zip(("uid", "token"), make_verification_credentials(user, email), strict=True))


def verify(credentials, client=None):
    return (client or APIClient()).post("/auth/email/verify/", credentials)


def get_code(response):
    assert response.status_code == 400
    ((field, (error,)),) = response.json()["errors"].items()
    return field, error["code"]


def change_email(client, email=NEW_ADDRESS, password=PASSWORD):
    return client.post("/auth/email/change/", {"email": email, "password": password})


def can_log_in(login, password=PASSWORD):
    body = {"username": login, "password": password}
    return APIClient().post("/auth/token/", body).status_code == 200


def age_token(monkeypatch, age):
    """Make tokens as old as `age` when they are made."""
    monkeypatch.setattr("django.core.signing.time.time", lambda: timezone.now().timestamp() - age)


# --- Registration and verification ----------------------------------------------------------------


def test_registration_sends_a_mail_that_verifies_the_address(run_jobs):
    registration = register("ann").json()
    errors = run_jobs()
    (message,) = mail.outbox
    login_before = can_log_in(ADDRESS)

    response = verify(read_credentials(message))

    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {registration['access']}")
    assert errors == []
    assert registration["user"]["email_verified"] is False
    assert message.to == [ADDRESS]
    assert "for ann on" in message.body
    assert "within 3 days" in message.body
    assert response.status_code == 204
    assert client.get("/profiles/me/").json()["email_verified"] is True
    assert (login_before, can_log_in(ADDRESS.upper())) == (False, True)


def test_guest_who_registers_gets_the_mail_too(client_of, run_jobs):
    client = client_of(guest_create())

    response = client.post(
        "/auth/guest/register/", {"username": "ann", "email": ADDRESS, "password": PASSWORD}
    )
    run_jobs()

    assert response.json()["user"]["email_verified"] is False
    assert verify(read_credentials(mail.outbox[0])).status_code == 204


def test_unverified_address_blocks_nobody():
    responses = [register(name).status_code for name in ("ann", "bob")]

    assert responses == [201, 201]
    assert User.objects.filter(email=ADDRESS).count() == 2


def test_verified_address_is_taken_whatever_its_case(verified_ann):
    response = register("bob", ADDRESS.upper())

    assert get_code(response) == ("email", "unique")


def test_address_cannot_be_verified_twice_in_the_database(verified_ann):
    with pytest.raises(IntegrityError):
        User.objects.create(username="bob", email=ADDRESS.upper(), email_verified=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": "x"},
        {"uid": "\u00e9"},
        {"uid": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"},
        {"token": "x"},
        {"token": "1vSabc.signature"},
        {"token": "\u00e9.\u00e9"},
    ],
    ids=str,
)
def test_wrong_uid_or_token_is_rejected(ann, changes):
    response = verify({**make_credentials(ann, ADDRESS), **changes})

    assert get_code(response) == ("token", "wrong_token")


def test_token_of_another_member_is_rejected(ann, make_user):
    bob = make_user("bob", email=ADDRESS, email_verified=False)
    credentials = make_credentials(bob, ADDRESS)

    response = verify({**make_credentials(ann, ADDRESS), "token": credentials["token"]})

    assert get_code(response) == ("token", "wrong_token")


def test_token_works_once(ann):
    credentials = make_credentials(ann, ADDRESS)

    first, second = verify(credentials), verify(credentials)

    assert first.status_code == 204
    assert get_code(second) == ("token", "already_verified")


@pytest.mark.parametrize(("minutes", "works"), [(-5, True), (5, False)])
def test_token_works_for_three_days(ann, minutes, works):
    age = timedelta(days=3, minutes=minutes).total_seconds()
    with pytest.MonkeyPatch.context() as past:
        age_token(past, age)
        credentials = make_credentials(ann, ADDRESS)

    response = verify(credentials)

    if works:
        assert response.status_code == 204
    else:
        assert get_code(response) == ("token", "expired_token")


def test_token_of_an_address_that_is_taken_meanwhile_is_rejected(ann, make_user):
    credentials = make_credentials(ann, ADDRESS)
    make_user("bob", email=ADDRESS.title())

    response = verify(credentials)

    ann.refresh_from_db()
    assert get_code(response) == ("token", "email_taken")
    assert not ann.email_verified


def test_token_of_a_deactivated_member_is_rejected(ann):
    credentials = make_credentials(ann, ADDRESS)
    User.objects.update(is_active=False)

    assert get_code(verify(credentials)) == ("token", "wrong_token")


def test_reset_token_verifies_nothing(ann):
    uid, token = make_password_reset_credentials(ann)

    assert get_code(verify({"uid": uid, "token": token})) == ("token", "wrong_token")


def test_attempts_of_a_client_address_are_limited(api, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "email": (2, 3600)}

    statuses = [verify({"uid": "x", "token": "x"}, api).status_code for _ in range(3)]

    assert statuses == [400, 400, 429]


@pytest.mark.django_db(transaction=True)
def test_one_of_two_members_verifies_an_address_they_both_claim(make_user):
    users = [make_user(name, email=ADDRESS, email_verified=False) for name in ("ann", "bob")]
    outcomes, gate = [], threading.Barrier(2)

    def verify_address(user):
        credentials = make_credentials(user, ADDRESS)
        gate.wait()
        try:
            user_email_verify(**credentials)
            outcomes.append("success")
        except Exception as error:
            outcomes.append(str(error.get_codes()["token"][0]))
        finally:
            connection.close()

    threads = [threading.Thread(target=verify_address, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["email_taken", "success"]
    assert User.objects.filter(email_verified=True).count() == 1


# --- Mails ----------------------------------------------------------------------------------------


def test_resend_sends_another_mail(ann, client_of, run_jobs):
    response = client_of(ann).post("/auth/email/verify/resend/")
    run_jobs()

    assert response.status_code == 204
    assert verify(read_credentials(mail.outbox[0])).status_code == 204


def test_resend_sends_nothing_if_the_address_is_verified(verified_ann, client_of, run_jobs):
    response = client_of(verified_ann).post("/auth/email/verify/resend/")
    run_jobs()

    assert response.status_code == 204
    assert mail.outbox == []


def test_mailbox_gets_five_mails_an_hour_from_all_accounts_together(run_jobs):
    for number in range(7):
        register(f"ann{number}", ADDRESS.upper() if number % 2 else ADDRESS)

    run_jobs()

    assert len(mail.outbox) == 5


def test_mail_that_failed_is_sent_again_and_counts_once(ann, client_of, run_jobs, settings):
    backend, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, f"{__name__}.BrokenBackend"
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "verification_mail": (1, 3600)}
    client_of(ann).post("/auth/email/verify/resend/")
    (error,) = run_jobs()
    settings.EMAIL_BACKEND = backend
    client_of(ann).post("/auth/email/verify/resend/")

    errors = run_jobs()

    assert isinstance(error, MailFailedError)
    assert errors == []
    assert len(mail.outbox) == 1


def test_no_job_contains_the_token(ann, client_of):
    client_of(ann).post("/auth/email/verify/resend/")

    (job,) = ProcrastinateJob.objects.all()

    assert job.args == {"user_id": ann.pk}


def test_mail_links_to_the_page_in_the_settings(ann, client_of, run_jobs, settings):
    settings.EMAIL_VERIFICATION_URL = "https://app.example.org/verify?uid={uid}&token={token}"
    client_of(ann).post("/auth/email/verify/resend/")

    run_jobs()

    link = r"https://app\.example\.org/verify\?uid=(\w+)&token=([\w.-]+)\n"
    uid, token = re.search(link, mail.outbox[0].body).groups()
    assert ADDRESS not in mail.outbox[0].body
    assert verify({"uid": uid, "token": token}).status_code == 204


# --- The confirmation page ------------------------------------------------------------------------


def test_page_verifies_on_a_click_and_not_when_it_is_opened(ann, client):
    credentials = make_credentials(ann, ADDRESS)

    page = client.get("/auth/email/confirm/", credentials)
    ann.refresh_from_db()
    is_verified_by_opening = ann.email_verified
    fields = dict(re.findall(r'name="(\w+)" value="([^"]+)"', page.content.decode()))
    answer = client.post("/auth/email/confirm/", fields)

    ann.refresh_from_db()
    assert page.status_code == answer.status_code == 200
    assert (is_verified_by_opening, ann.email_verified) == (False, True)
    assert "is confirmed" in answer.content.decode()
    assert page["Cache-Control"] == "private, no-store"
    assert page["Content-Security-Policy"].startswith("default-src 'none'")
    assert page["Referrer-Policy"] == "same-origin"


def test_page_says_why_a_link_does_not_work(ann, client):
    credentials = make_credentials(ann, ADDRESS)
    client.post("/auth/email/confirm/", credentials)

    used = client.post("/auth/email/confirm/", credentials)
    wrong = client.post("/auth/email/confirm/", {"uid": "x", "token": "\x00<script>"})
    incomplete = client.get("/auth/email/confirm/", {"uid": credentials["uid"]})

    assert [used.status_code, wrong.status_code, incomplete.status_code] == [400, 400, 200]
    assert "verified already" in used.content.decode()
    assert "token is wrong" in wrong.content.decode()
    assert "incomplete" in incomplete.content.decode()


def test_page_quotes_what_the_link_contains(client):
    page = client.get("/auth/email/confirm/", {"uid": '"><script>', "token": "x"})

    assert "<script>" not in page.content.decode()


def test_page_has_the_limit_of_the_api_and_rejects_other_methods(client, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "email": (1, 3600)}

    responses = [client.post("/auth/email/confirm/", {"uid": "x"}) for _ in range(2)]
    put = client.put("/auth/email/confirm/", "{}", content_type="application/json")

    assert [response.status_code for response in responses] == [400, 429]
    assert int(responses[1]["Retry-After"]) > 0
    assert (put.status_code, put.json()["code"]) == (405, "method_not_allowed")


# --- Changing the address -------------------------------------------------------------------------


def test_change_counts_once_the_new_address_is_verified(verified_ann, client_of, run_jobs):
    client = client_of(verified_ann)

    response = change_email(client)
    run_jobs()
    before = client.get("/profiles/me/").json()
    messages = {message.to[0]: message for message in mail.outbox}
    verification = verify(read_credentials(messages[NEW_ADDRESS]))
    after = client.get("/profiles/me/").json()

    assert (response.status_code, verification.status_code) == (204, 204)
    assert set(messages) == {ADDRESS, NEW_ADDRESS}
    assert NEW_ADDRESS not in messages[ADDRESS].body
    assert "for ann on" in messages[ADDRESS].body
    assert (before["email"], before["email_verified"]) == (ADDRESS, True)
    assert (after["email"], after["email_verified"]) == (NEW_ADDRESS, True)
    assert can_log_in(NEW_ADDRESS)
    assert not can_log_in(ADDRESS)


def test_change_needs_the_password(verified_ann, client_of, run_jobs):
    response = change_email(client_of(verified_ann), password="wrong")
    run_jobs()

    assert get_code(response) == ("password", "wrong_password")
    assert mail.outbox == []


def test_change_to_an_address_that_another_has_verified_is_rejected(ann, make_user, client_of):
    make_user("bob", email=NEW_ADDRESS)

    assert get_code(change_email(client_of(ann))) == ("email", "unique")


def test_change_to_an_address_that_is_taken_meanwhile_is_rejected(ann, make_user, client_of):
    change_email(client_of(ann))
    credentials = make_credentials(ann, NEW_ADDRESS)
    make_user("bob", email=NEW_ADDRESS)

    response = verify(credentials)

    ann.refresh_from_db()
    assert get_code(response) == ("token", "email_taken")
    assert ann.email == ADDRESS


def test_a_second_change_voids_the_mail_of_the_first(verified_ann, client_of):
    client = client_of(verified_ann)
    change_email(client)
    first = make_credentials(verified_ann, NEW_ADDRESS)
    change_email(client, "ann@third.example")

    assert get_code(verify(first)) == ("token", "wrong_token")


def test_change_to_the_present_address_takes_back_a_change(verified_ann, client_of):
    client = client_of(verified_ann)
    change_email(client)
    credentials = make_credentials(verified_ann, NEW_ADDRESS)

    response = change_email(client, ADDRESS)

    assert response.status_code == 204
    assert get_code(verify(credentials)) == ("token", "wrong_token")


def test_changed_password_voids_a_requested_change(verified_ann, client_of):
    change_email(client_of(verified_ann))
    credentials = make_credentials(verified_ann, NEW_ADDRESS)

    user_password_change(user=verified_ann, new_password=NEW_PASSWORD, session_id=None)

    assert get_code(verify(credentials)) == ("token", "wrong_token")


def test_mistyped_address_can_be_corrected(ann, client_of):
    change_email(client_of(ann))

    response = verify(make_credentials(ann, NEW_ADDRESS))

    ann.refresh_from_db()
    assert response.status_code == 204
    assert (ann.email, ann.email_verified, ann.pending_email) == (NEW_ADDRESS, True, "")


@pytest.mark.parametrize("method", ["put", "patch"])
def test_profile_accepts_the_present_address_and_rejects_another(ann, client_of, method):
    client = client_of(ann)

    same = getattr(client, method)("/profiles/me/", {"email": ADDRESS, "bio": "Hello"})
    other = getattr(client, method)("/profiles/me/", {"email": NEW_ADDRESS})

    assert (same.status_code, same.json()["bio"]) == (200, "Hello")
    assert get_code(other) == ("email", "read_only")
    assert client.get("/profiles/me/").json()["email"] == ADDRESS


# --- Resets and the admin -------------------------------------------------------------------------


def reset_password(credentials):
    body = {**credentials, "new_password": NEW_PASSWORD}
    return APIClient().post("/auth/password/reset/confirm/", body)


def test_reset_mail_goes_to_each_active_account_with_the_address(make_user, run_jobs):
    for name in ("ann", "bob", "inactive"):
        make_user(name, email=ADDRESS, email_verified=False, is_active=name != "inactive")
    make_user("other")

    response = APIClient().post("/auth/password/reset/", {"email": ADDRESS.upper()})
    jobs = ProcrastinateJob.objects.count()
    run_jobs()

    assert response.status_code == 204
    # One, as for an address that nobody has.
    assert jobs == 1
    assert sorted(re.search(r"for (\w+) on", message.body)[1] for message in mail.outbox) == [
        *("ann", "bob"),
    ]
    assert {tuple(message.to) for message in mail.outbox} == {(ADDRESS,)}


def test_reset_mail_goes_to_ten_accounts_at_most_and_first_to_the_verified_one(make_user, run_jobs):
    for number in range(11):
        make_user(f"squatter{number}", email=ADDRESS, email_verified=False)
    make_user("ann", email=ADDRESS)

    APIClient().post("/auth/password/reset/", {"email": ADDRESS})
    run_jobs()

    assert len(mail.outbox) == 10
    assert "for ann on" in mail.outbox[0].body


def test_reset_verifies_the_address_and_ends_all_sessions(ann, client_of):
    client = client_of(ann)
    uid, token = make_password_reset_credentials(ann)

    response = reset_password({"uid": uid, "token": token})

    ann.refresh_from_db()
    assert response.status_code == 204
    assert ann.email_verified
    assert client.get("/profiles/me/").status_code == 401
    assert can_log_in(ADDRESS, NEW_PASSWORD)


def test_reset_works_without_verifying_an_address_that_is_taken(ann, make_user):
    make_user("bob", email=ADDRESS)
    uid, token = make_password_reset_credentials(ann)

    response = reset_password({"uid": uid, "token": token})

    ann.refresh_from_db()
    assert response.status_code == 204
    assert not ann.email_verified
    assert can_log_in("ann", NEW_PASSWORD)


def test_reset_voids_a_requested_change(verified_ann, client_of):
    change_email(client_of(verified_ann))
    credentials = make_credentials(verified_ann, NEW_ADDRESS)
    verified_ann.refresh_from_db()
    uid, token = make_password_reset_credentials(verified_ann)

    reset_password({"uid": uid, "token": token})

    assert get_code(verify(credentials)) == ("token", "wrong_token")


def test_address_that_staff_enter_is_unverified_until_the_mail_is_confirmed(
    verified_ann, admin_client, run_jobs
):
    form = {"username": "ann", "email": NEW_ADDRESS, "is_active": "on", "favorite_genres": "[]"}

    response = admin_client.post(f"/admin/accounts/user/{verified_ann.pk}/change/", form)
    run_jobs()

    verified_ann.refresh_from_db()
    assert response.status_code == 302
    assert (verified_ann.email, verified_ann.email_verified) == (NEW_ADDRESS, False)
    assert [message.to for message in mail.outbox] == [[NEW_ADDRESS]]


def test_address_of_createsuperuser_is_verified(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

    call_command("createsuperuser", "--no-input", "--username=root", f"--email={ADDRESS}")

    assert User.objects.get().email_verified


def test_lookups_by_address_use_an_index(verified_ann):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM accounts_user WHERE lower(email) = lower(%s)", [ADDRESS]
        )
        plan = " ".join(line for (line,) in cursor.fetchall())

    assert "user_email_without_case" in plan
