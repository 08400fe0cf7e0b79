"""Tokens: their claims, their keys, rotation and replay detection."""

import threading
from datetime import datetime, timedelta

import jwt
import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.exceptions import InvalidToken
from accounts.models import SpentRefreshToken, TokenFamily, User
from accounts.services import user_password_change
from accounts.tokens import (
    FAMILY_CLAIM,
    TokenPair,
    family_create,
    refresh_token_revoke,
    refresh_token_rotate,
)
from nexus.core.api.jwt import AccessToken, RefreshToken

pytestmark = pytest.mark.django_db

OLD_KEY, NEW_KEY = "o" * 40, "n" * 40
LEEWAY = timedelta(seconds=60)


def get_profile_status(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client.get("/profiles/me/").status_code


def test_token_names_its_issuer_its_audience_and_its_key(make_user, settings):
    access = family_create(user=make_user()).access

    claims = jwt.decode(access, settings.JWT_SIGNING_KEYS[0], ["HS256"], audience="nexus-movie-api")
    key_id = jwt.get_unverified_header(access)["kid"]

    assert claims["iss"] == "nexus-movie-api"
    assert set(claims) == {
        *("token_type", "exp", "iat", "jti", "user_id", "family", "iss", "aud"),
    }
    assert len(key_id) == 12
    assert key_id not in settings.JWT_SIGNING_KEYS[0]


def test_secret_key_does_not_sign_tokens(settings):
    assert settings.SECRET_KEY not in settings.JWT_SIGNING_KEYS


def test_tokens_of_the_old_key_work_until_the_key_is_removed(make_user, settings):
    user = make_user()
    settings.JWT_SIGNING_KEYS = [OLD_KEY]
    old_pair = family_create(user=user)
    settings.JWT_SIGNING_KEYS = [NEW_KEY, OLD_KEY]
    new_pair = family_create(user=user)

    statuses_with_both = [get_profile_status(pair.access) for pair in (old_pair, new_pair)]
    refresh_token_rotate(refresh=old_pair.refresh)
    settings.JWT_SIGNING_KEYS = [NEW_KEY]
    statuses_with_new = [get_profile_status(pair.access) for pair in (old_pair, new_pair)]

    assert statuses_with_both == [200, 200]
    assert statuses_with_new == [401, 200]
    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=old_pair.refresh)


def forge(token, key, header=None, **changes):
    """Sign the token's claims again, with changes."""
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {"kid": jwt.get_unverified_header(token)["kid"], **(header or {})}
    return jwt.encode({**claims, **changes}, key, "HS256", headers=headers)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": None},
        {"aud": {"a": 1}},
        {"exp": 1},
        {"token_type": "refresh"},
        {"family": None},
        {"header": {"kid": ""}},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": "\ud83c"}},
    ],
    ids=str,
)
def test_token_with_a_wrong_claim_is_rejected(make_user, settings, changes):
    token = family_create(user=make_user()).access
    key = settings.JWT_SIGNING_KEYS[0]

    status = get_profile_status(forge(token, key, **changes))

    assert status == 401
    assert get_profile_status(forge(token, key)) == 200


def test_token_that_is_signed_with_the_secret_key_is_rejected(make_user, settings):
    token = family_create(user=make_user()).access

    status = get_profile_status(forge(token, settings.SECRET_KEY.ljust(32)))

    assert status == 401


def rotate_in_threads(tokens):
    """Rotate each refresh token in a thread of its own; return (token, new pair) of those that work."""
    gate, answers = threading.Barrier(len(tokens)), []

    def rotate(refresh):
        gate.wait()
        try:
            answers.append((refresh, refresh_token_rotate(refresh=refresh)))
        except InvalidToken:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=rotate, args=[token]) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.django_db(transaction=True)
def test_simultaneous_uses_of_a_refresh_token_get_one_successor(make_user):
    user = make_user()

    for _ in range(10):
        answers = rotate_in_threads([family_create(user=user).refresh] * 8)
        pairs = [pair for _, pair in answers]

        assert len(pairs) == 8
        assert len({pair.refresh for pair in pairs}) == 1
        assert len({pair.access for pair in pairs}) == 8
        assert [get_profile_status(pair.access) for pair in pairs] == [200] * 8
        assert refresh_token_rotate(refresh=pairs[0].refresh)


def let_seconds_pass(family_id, seconds):
    """Make all uses of the session's tokens so many seconds older."""
    uses = SpentRefreshToken.objects.filter(family=family_id)
    uses.update(spent_at=F("spent_at") - timedelta(seconds=seconds))


def get_family_id(refresh):
    return jwt.decode(refresh, options={"verify_signature": False})[FAMILY_CLAIM]


def get_jti(refresh):
    return jwt.decode(refresh, options={"verify_signature": False})["jti"]


def test_token_presented_again_at_once_gets_the_same_successor_and_a_fresh_access_token(make_user):
    refresh = family_create(user=make_user()).refresh

    first, second = (refresh_token_rotate(refresh=refresh) for _ in range(2))

    assert second.refresh == first.refresh
    assert second.access != first.access
    assert [get_profile_status(pair.access) for pair in (first, second)] == [200, 200]
    assert refresh_token_rotate(refresh=second.refresh)


def test_token_presented_again_after_ten_seconds_ends_the_session(make_user):
    refresh = family_create(user=make_user()).refresh
    pair = refresh_token_rotate(refresh=refresh)
    let_seconds_pass(get_family_id(refresh), 10)

    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=refresh)

    assert get_profile_status(pair.access) == 401
    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=pair.refresh)


def test_repeated_refreshes_do_not_extend_the_ten_seconds(make_user):
    refresh = family_create(user=make_user()).refresh
    for _ in range(3):
        refresh_token_rotate(refresh=refresh)
        let_seconds_pass(get_family_id(refresh), 3.5)

    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=refresh)


def test_token_that_the_previous_release_spent_is_not_repeated(make_user):
    refresh = family_create(user=make_user()).refresh
    refresh_token_rotate(refresh=refresh)
    SpentRefreshToken.objects.update(successor_jti=None)

    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=refresh)


def test_ten_seconds_are_those_of_the_database(make_user, monkeypatch):
    refresh = family_create(user=make_user()).refresh
    first = refresh_token_rotate(refresh=refresh)
    run_with_clock(monkeypatch, timedelta(seconds=45))

    second = refresh_token_rotate(refresh=refresh)

    assert second.refresh == first.refresh


@given(
    steps=st.lists(
        # Wait some seconds, or present the token that was issued so many steps before the last.
        st.tuples(st.just("wait"), st.sampled_from([2, 4, 6]))
        | st.tuples(st.just("present"), st.sampled_from([0, 0, 0, 1, 1, 2])),
        max_size=12,
    )
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_session_has_one_living_successor_in_any_order_of_uses(make_user, steps):
    user = make_user(f"ann{User.objects.count()}")
    issued, used_at, now, has_ended = [family_create(user=user).refresh], {}, 0, False
    family_id = get_family_id(issued[0])

    for action, number in steps:
        if action == "wait":
            let_seconds_pass(family_id, number)
            now += number
            continue
        index = max(len(issued) - 1 - number, 0)
        is_first_use = index == len(issued) - 1
        is_repeat = index == len(issued) - 2 and now - used_at[index] < 10
        try:
            successor = refresh_token_rotate(refresh=issued[index]).refresh
        except InvalidToken:
            successor = None

        if has_ended or not (is_first_use or is_repeat):
            assert successor is None
            has_ended = True
        elif is_first_use:
            assert get_jti(successor) not in map(get_jti, issued)
            issued.append(successor)
            used_at[index] = now
        else:
            # Its times are those of the use, which let_seconds_pass has changed.
            assert get_jti(successor) == get_jti(issued[-1])
    # Only the last token can be alive, and is alive exactly if nothing was replayed.
    assert TokenFamily.objects.filter(id=family_id, revoked_at=None).exists() is not has_ended
    assert SpentRefreshToken.objects.filter(family=family_id).count() == len(issued) - 1


@pytest.mark.django_db(transaction=True)
def test_token_and_its_successor_used_at_once_leave_one_living_token(make_user):
    user = make_user()

    for _ in range(10):
        refresh = family_create(user=user).refresh
        successor = refresh_token_rotate(refresh=refresh).refresh
        answers = rotate_in_threads([refresh, successor] * 4)

        # The old token came first each time and got its successor again, or ended the session.
        living = TokenFamily.objects.get(id=get_family_id(refresh)).revoked_at is None
        newest = {pair.refresh for sent, pair in answers if sent == successor}
        assert len(newest) <= 1
        assert {pair.refresh for sent, pair in answers if sent == refresh} <= {successor}
        assert SpentRefreshToken.objects.filter(family=get_family_id(refresh)).count() <= 2
        for token in newest if living else ():
            assert refresh_token_rotate(refresh=token)


def test_only_the_ids_of_tokens_are_stored(make_user):
    pair = family_create(user=make_user())
    new_pair = refresh_token_rotate(refresh=pair.refresh)

    rows = str([list(model.objects.values()) for model in (TokenFamily, SpentRefreshToken)])

    for token in (pair.access, pair.refresh, new_pair.access, new_pair.refresh):
        signature = token.rpartition(".")[2]
        assert signature not in rows


def test_session_cannot_start_after_the_password_has_changed(make_user):
    user = make_user()
    same_user = User.objects.get(pk=user.pk)
    same_user.set_password("another-horse-9")
    same_user.save()

    with pytest.raises(InvalidToken):
        family_create(user=user)


def test_access_token_of_an_expired_session_is_rejected(make_user):
    token = AccessToken(family_create(user=make_user()).access.encode())
    status_before = get_profile_status(token)
    TokenFamily.objects.filter(id=token[FAMILY_CLAIM]).update(expires_at=timezone.now())

    status = get_profile_status(token)

    assert (status_before, status) == (200, 401)


def test_expired_access_token_is_rejected(make_user):
    token = AccessToken(family_create(user=make_user()).access.encode())
    token.set_exp(lifetime=-(LEEWAY + timedelta(seconds=1)))

    assert get_profile_status(token) == 401


def issue_at_another_server(user, clock_error):
    """Return the tokens of a server whose clock is off by `clock_error`."""
    pair = family_create(user=user)
    tokens = [AccessToken(pair.access.encode()), RefreshToken(pair.refresh.encode())]
    for token in tokens:
        token.current_time += clock_error
        token.set_iat()
        token.set_exp()
    return [str(token) for token in tokens]


@pytest.mark.parametrize("seconds", [-59, -3, 3, 59])
def test_tokens_of_a_server_whose_clock_differs_are_accepted(make_user, seconds):
    user = make_user()

    access, refresh = issue_at_another_server(user, timedelta(seconds=seconds))

    assert get_profile_status(access) == 200
    assert get_profile_status(refresh_token_rotate(refresh=refresh).access) == 200


def test_expiry_has_the_same_leeway(make_user):
    # Issued by a server that is 59 s behind, and presented when it has just expired there.
    lifetime = AccessToken.lifetime

    within, _ = issue_at_another_server(make_user("ann"), -lifetime - timedelta(seconds=59))
    beyond, _ = issue_at_another_server(make_user("bob"), -lifetime - timedelta(seconds=61))

    assert [get_profile_status(access) for access in (within, beyond)] == [200, 401]


def test_token_from_beyond_the_leeway_is_rejected(make_user):
    access, refresh = issue_at_another_server(make_user(), LEEWAY + timedelta(seconds=5))

    assert get_profile_status(access) == 401
    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=refresh)


def run_with_clock(monkeypatch, offset):
    """Make this process read a clock that is off by `offset`: SimpleJWT's, PyJWT's and Django's."""

    class ShiftedDatetime(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + offset

    monkeypatch.setattr("rest_framework_simplejwt.utils.datetime", ShiftedDatetime)
    monkeypatch.setattr("jwt.api_jwt.datetime", ShiftedDatetime)
    monkeypatch.setattr("django.utils.timezone.datetime", ShiftedDatetime)


@pytest.mark.parametrize("seconds", [-55, -3, 3, 55])
def test_a_session_moves_between_two_servers_whose_clocks_differ(make_user, seconds):
    user = make_user()
    with pytest.MonkeyPatch.context() as other_server:
        run_with_clock(other_server, timedelta(seconds=seconds))
        pair = family_create(user=user)

    status_here = get_profile_status(pair.access)
    pair = refresh_token_rotate(refresh=pair.refresh)
    with pytest.MonkeyPatch.context() as other_server:
        run_with_clock(other_server, timedelta(seconds=seconds))
        status_there = get_profile_status(pair.access)
        pair = refresh_token_rotate(refresh=pair.refresh)

    assert (status_here, status_there) == (200, 200)
    assert get_profile_status(pair.access) == 200


# --- Verification ----------------------------------------------------------------------------------


def leave_unchanged(user, pair):
    return pair


def rotate(user, pair):
    refresh_token_rotate(refresh=pair.refresh)
    return pair


def rotate_and_wait(user, pair):
    refresh_token_rotate(refresh=pair.refresh)
    let_seconds_pass(get_family_id(pair.refresh), 10)
    return pair


def rotate_and_use_successor(user, pair):
    refresh_token_rotate(refresh=refresh_token_rotate(refresh=pair.refresh).refresh)
    return pair


def rotate_to_successor(user, pair):
    return refresh_token_rotate(refresh=pair.refresh)


def replay(user, pair):
    successor = refresh_token_rotate(refresh=pair.refresh)
    refresh_token_rotate(refresh=successor.refresh)
    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=pair.refresh)
    return successor


def log_out(user, pair):
    refresh_token_revoke(refresh=pair.refresh)
    return pair


def let_session_expire(user, pair):
    TokenFamily.objects.update(expires_at=timezone.now())
    return pair


def change_password(user, pair):
    user_password_change(user=user, new_password="another-horse-9", session_id=None)
    return pair


def deactivate(user, pair):
    user.is_active = False
    user.save()
    return pair


def reactivate(user, pair):
    deactivate(user, pair)
    user.is_active = True
    user.save()
    return pair


def deactivate_and_reactivate_in_bulk(user, pair):
    User.objects.filter(pk=user.pk).update(is_active=False)
    User.objects.filter(pk=user.pk).update(is_active=True)
    return pair


def delete(user, pair):
    user.delete()
    return pair


def expire(user, pair):
    access, refresh = issue_at_another_server(user, -timedelta(days=15))
    return TokenPair(access=access, refresh=refresh)


def change_signature(user, pair):
    key = "k" * 40
    return TokenPair(access=forge(pair.access, key), refresh=forge(pair.refresh, key))


def sign_with_unknown_key(user, pair):
    key, header = "k" * 40, {"kid": "of-another-service"}
    return TokenPair(
        access=forge(pair.access, key, header), refresh=forge(pair.refresh, key, header)
    )


def cut_off(user, pair):
    return TokenPair(access=pair.access[:-9], refresh=pair.refresh[:-9])


@pytest.mark.parametrize(
    ("change", "access_code", "refresh_code"),
    [
        # The code of the 401, or None if the token is accepted.
        (leave_unchanged, None, None),
        (rotate, None, None),
        (rotate_and_wait, None, "token_used"),
        (rotate_and_use_successor, None, "token_used"),
        (rotate_to_successor, None, None),
        (replay, "session_revoked", "session_revoked"),
        (log_out, "session_revoked", "session_revoked"),
        (let_session_expire, "session_ended", "session_ended"),
        (change_password, "session_revoked", "session_revoked"),
        (deactivate, "session_revoked", "session_revoked"),
        (reactivate, "session_revoked", "session_revoked"),
        (deactivate_and_reactivate_in_bulk, "session_revoked", "session_revoked"),
        (delete, "session_ended", "session_ended"),
        (expire, "token_expired", "token_expired"),
        (change_signature, "token_not_valid", "token_not_valid"),
        (sign_with_unknown_key, "token_key_unknown", "token_key_unknown"),
        (cut_off, "token_not_valid", "token_not_valid"),
    ],
)
def test_use_and_verification_of_a_token_have_the_same_result_and_code(
    make_user, change, access_code, refresh_code
):
    user = make_user("ann")
    pair = change(user, family_create(user=user))
    api = APIClient()

    verifications = [
        api.post("/auth/token/verify/", {"token": token}) for token in (pair.access, pair.refresh)
    ]
    uses = [
        api.get("/profiles/me/", headers={"Authorization": f"Bearer {pair.access}"}),
        api.post("/auth/token/refresh/", {"refresh": pair.refresh}),
    ]

    for responses in (verifications, uses):
        codes = [response.json().get("code") for response in responses]
        assert codes == [access_code, refresh_code]
        assert [response.status_code for response in responses] == [
            401 if code else 200 for code in codes
        ]
        assert [response.has_header("WWW-Authenticate") for response in responses] == [
            code is not None for code in codes
        ]


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_token_of_the_other_kind_is_wrong(make_user, api, kind):
    pair = family_create(user=make_user())

    if kind == "access":
        response = api.post("/auth/token/refresh/", {"refresh": pair.access})
    else:
        response = api.get("/profiles/me/", headers={"Authorization": f"Bearer {pair.refresh}"})

    assert (response.status_code, response.json()["code"]) == (401, "token_not_valid")


@pytest.mark.parametrize("in_bulk", [False, True])
def test_deactivation_ends_sessions_of_the_admin_too(make_user, in_bulk):
    staff = {"is_staff": True, "is_superuser": True}
    clients = []
    for name in ("ann", "bob"):
        clients.append(Client())
        clients[-1].force_login(make_user(name, **staff))

    for is_active in (False, True):
        if in_bulk:
            User.objects.filter(username="ann").update(is_active=is_active)
        else:
            ann = User.objects.get(username="ann")
            ann.is_active = is_active
            ann.save()

    assert [client.get("/admin/").status_code for client in clients] == [302, 200]


def test_verification_does_not_spend_a_token(make_user):
    pair = family_create(user=make_user())
    body = {"token": pair.refresh}

    statuses = [APIClient().post("/auth/token/verify/", body).status_code for _ in range(2)]

    assert statuses == [200, 200]
    assert refresh_token_rotate(refresh=pair.refresh)


def test_token_of_an_unknown_type_is_rejected(make_user, settings):
    token = forge(
        family_create(user=make_user()).access, settings.JWT_SIGNING_KEYS[0], token_type="sliding"
    )

    assert APIClient().post("/auth/token/verify/", {"token": token}).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_login_during_a_deactivation_starts_no_session_that_outlives_it(make_user):
    for number in range(5):
        user = make_user(f"ann{number}")
        gate, pairs = threading.Barrier(2), []

        def start_session(user=user, gate=gate, pairs=pairs):
            gate.wait()
            try:
                pairs.append(family_create(user=user))
            except InvalidToken:
                pass
            finally:
                connection.close()

        thread = threading.Thread(target=start_session)
        thread.start()
        gate.wait()
        User.objects.filter(pk=user.pk).update(is_active=False)
        thread.join()
        User.objects.filter(pk=user.pk).update(is_active=True)

        assert [get_profile_status(pair.access) for pair in pairs] == [401] * len(pairs)


def test_authentication_takes_one_query(make_user, client_of, django_assert_num_queries):
    api = client_of(make_user())

    # The profile counts followers and following with two more.
    with django_assert_num_queries(1 + 2):
        response = api.get("/profiles/me/")

    assert response.status_code == 200
