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

OLD, NEW = "o" * 40, "n" * 40


def status_of(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client.get("/profiles/me/").status_code


def test_a_token_names_its_issuer_its_audience_and_its_key(make_user, settings):
    access = family_create(user=make_user()).access
    claims = jwt.decode(access, settings.JWT_SIGNING_KEYS[0], ["HS256"], audience="nexus-movie-api")
    assert claims["iss"] == "nexus-movie-api"
    assert set(claims) == {
        *("token_type", "exp", "iat", "jti", "user_id", "family", "iss", "aud"),
    }
    kid = jwt.get_unverified_header(access)["kid"]
    assert len(kid) == 12
    assert kid not in settings.JWT_SIGNING_KEYS[0]


def test_tokens_are_not_signed_with_the_secret_key(settings):
    assert settings.SECRET_KEY not in settings.JWT_SIGNING_KEYS


def test_a_key_in_front_signs_and_the_one_behind_it_still_verifies(make_user, settings):
    user = make_user()
    settings.JWT_SIGNING_KEYS = [OLD]
    before = family_create(user=user)
    settings.JWT_SIGNING_KEYS = [NEW, OLD]
    after = family_create(user=user)
    assert [status_of(pair.access) for pair in (before, after)] == [200, 200]
    refresh_token_rotate(refresh=before.refresh)
    settings.JWT_SIGNING_KEYS = [NEW]
    assert [status_of(pair.access) for pair in (before, after)] == [401, 200]
    with pytest.raises(InvalidToken):
        refresh_token_rotate(refresh=before.refresh)


def forged(token, key, header=None, **changes):
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
        {"header": {"kid": "unheard-of"}},
        {"header": {"kid": "\ud83c"}},
    ],
    ids=str,
)
def test_a_token_with_a_claim_that_is_not_ours_is_refused(make_user, settings, changes):
    good = family_create(user=make_user()).access
    key = settings.JWT_SIGNING_KEYS[0]
    assert status_of(forged(good, key)) == 200
    assert status_of(forged(good, key, **changes)) == 401
    assert status_of(forged(good, settings.SECRET_KEY.ljust(32))) == 401


@pytest.mark.django_db(transaction=True)
def test_of_eight_concurrent_refreshes_at_most_one_has_a_living_successor(make_user):
    user = make_user()
    for _ in range(10):
        refresh, minted = family_create(user=user).refresh, []
        gate = threading.Barrier(8)

        def spend(refresh=refresh, minted=minted, gate=gate):
            gate.wait()
            try:
                minted.append(refresh_token_rotate(refresh=refresh))
            except InvalidToken:
                pass
            finally:
                connection.close()

        threads = [threading.Thread(target=spend) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(minted) <= 1
        # Seven replays: the family has ended, and what was minted with it.
        assert [status_of(pair.access) for pair in minted] == [401] * len(minted)


def test_only_the_ids_of_tokens_are_stored(make_user):
    pair = family_create(user=make_user())
    newer = refresh_token_rotate(refresh=pair.refresh)
    stored = str([list(model.objects.values()) for model in (TokenFamily, SpentRefreshToken)])
    for token in (pair.access, pair.refresh, newer.access, newer.refresh):
        assert token.rpartition(".")[2] not in stored


def test_a_session_does_not_begin_with_a_password_that_has_changed_meanwhile(make_user):
    user = make_user()
    other = User.objects.get(pk=user.pk)
    other.set_password("another-horse-9")
    other.save()
    with pytest.raises(InvalidToken):
        family_create(user=user)


def test_an_access_token_outlives_neither_its_time_nor_its_family(make_user):
    token = AccessToken(family_create(user=make_user()).access.encode())
    assert status_of(token) == 200
    TokenFamily.objects.filter(id=token[FAMILY_CLAIM]).update(expires_at=timezone.now())
    assert status_of(token) == 401
    token.set_exp(lifetime=-timedelta(seconds=1))
    assert status_of(token) == 401


def test_who_is_asking_takes_one_query(make_user, client_of, django_assert_num_queries):
    api = client_of(make_user())
    # Whom the profile counts are two more.
    with django_assert_num_queries(1 + 2):
        assert api.get("/profiles/me/").status_code == 200
