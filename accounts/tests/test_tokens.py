"""Tokens: their claims, their keys, rotation and replay detection."""

import threading
from datetime import timedelta

import jwt
import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.exceptions import InvalidToken

from accounts.models import SpentRefreshToken, TokenFamily, User
from accounts.tokens import FAMILY_CLAIM, family_create, refresh_token_rotate
from nexus.core.api.jwt import AccessToken

pytestmark = pytest.mark.django_db

OLD_KEY, NEW_KEY = "o" * 40, "n" * 40


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


def rotate_simultaneously(refresh, times):
    """Rotate a refresh token in as many threads; return the new pairs."""
    gate, pairs = threading.Barrier(times), []

    def rotate():
        gate.wait()
        try:
            pairs.append(refresh_token_rotate(refresh=refresh))
        except InvalidToken:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=rotate) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return pairs


@pytest.mark.django_db(transaction=True)
def test_simultaneous_uses_of_a_refresh_token_end_its_session(make_user):
    user = make_user()

    for _ in range(10):
        pairs = rotate_simultaneously(family_create(user=user).refresh, times=8)

        assert len(pairs) <= 1
        # The seven replays have ended the session, and the new tokens with it.
        assert [get_profile_status(pair.access) for pair in pairs] == [401] * len(pairs)


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
    token.set_exp(lifetime=-timedelta(seconds=1))

    assert get_profile_status(token) == 401


def test_authentication_takes_one_query(make_user, client_of, django_assert_num_queries):
    api = client_of(make_user())

    # The profile counts followers and following with two more.
    with django_assert_num_queries(1 + 2):
        response = api.get("/profiles/me/")

    assert response.status_code == 200
