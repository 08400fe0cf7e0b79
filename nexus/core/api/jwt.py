"""Access and refresh tokens: SimpleJWT's, signed with keys that can be changed without a pause.

Of settings.JWT_SIGNING_KEYS the first signs and all verify. A token names its key (`kid`), so that
one of a key that was taken away is refused, and so is one that names none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jwt
from django.conf import settings
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError


class KeyRing(TokenBackend):
    """SimpleJWT's signing and verifying over several keys, with issuer and audience."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(
            settings.SIMPLE_JWT["ALGORITHM"],
            signing_key=keys[0],
            issuer=settings.SIMPLE_JWT["ISSUER"],
            audience=settings.SIMPLE_JWT["AUDIENCE"],
        )
        self._keys = {_key_id(key): self._prepare_key(key) for key in keys}
        self._first = _key_id(keys[0])

    def encode(self, payload: dict[str, Any]) -> str:
        return jwt.encode(
            {**payload, "iss": self.issuer, "aud": self.audience},
            self._keys[self._first],
            algorithm=self.algorithm,
            headers={"kid": self._first},
        )

    def get_verifying_key(self, token: Any) -> Any:
        try:
            named = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError as error:
            raise TokenBackendError("Token is invalid") from error
        if named not in self._keys:
            raise TokenBackendError("Token is of a key that is not in use")
        return self._keys[named]


class _Signed:
    def get_token_backend(self) -> TokenBackend:
        return _ring(tuple(settings.JWT_SIGNING_KEYS))


class AccessToken(_Signed, tokens.AccessToken):
    """What a request bears."""


class RefreshToken(_Signed, tokens.RefreshToken):  # type: ignore[misc]
    """What is spent for a new pair."""

    access_token_class = AccessToken


class UntypedToken(_Signed, tokens.UntypedToken):
    """A token of either kind, to be verified."""


@lru_cache(maxsize=8)
def _ring(keys: tuple[str, ...]) -> KeyRing:
    return KeyRing(keys)


def _key_id(key: str) -> str:
    # Tells keys apart and says nothing of them: they are random and long.
    return hashlib.sha256(b"kid:" + key.encode()).hexdigest()[:12]
