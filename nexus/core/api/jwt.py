"""SimpleJWT's access and refresh tokens, with signing keys that can be rotated without downtime.

The first of settings.JWT_SIGNING_KEYS signs tokens; all of them verify. A token names its key in its
`kid` header. Tokens of a removed key, and tokens that name no key, are rejected.
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


class UnknownSigningKeyError(TokenBackendError):
    """The token names a key that this service does not have (any more), or none."""


class KeyRing(TokenBackend):
    """SimpleJWT's token backend with several keys, an issuer and an audience."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(
            settings.SIMPLE_JWT["ALGORITHM"],
            signing_key=keys[0],
            issuer=settings.SIMPLE_JWT["ISSUER"],
            audience=settings.SIMPLE_JWT["AUDIENCE"],
            leeway=settings.SIMPLE_JWT["LEEWAY"],
        )
        self._keys = {_make_key_id(key): self._prepare_key(key) for key in keys}
        self._signing_key_id = _make_key_id(keys[0])

    def encode(self, payload: dict[str, Any]) -> str:
        return jwt.encode(
            {**payload, "iss": self.issuer, "aud": self.audience},
            self._keys[self._signing_key_id],
            algorithm=self.algorithm,
            headers={"kid": self._signing_key_id},
        )

    def get_verifying_key(self, token: Any) -> Any:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError as error:
            raise TokenBackendError("Token is invalid") from error
        if key_id not in self._keys:
            raise UnknownSigningKeyError("Token is signed with an unknown key")
        return self._keys[key_id]


class _KeyRingMixin:
    def get_token_backend(self) -> TokenBackend:
        return _get_key_ring(tuple(settings.JWT_SIGNING_KEYS))


class AccessToken(_KeyRingMixin, tokens.AccessToken):
    """The bearer token of a request."""


class RefreshToken(_KeyRingMixin, tokens.RefreshToken):  # type: ignore[misc]
    """The token that is exchanged for a new pair."""

    access_token_class = AccessToken


class UntypedToken(_KeyRingMixin, tokens.UntypedToken):
    """A token of either type, to be verified."""


@lru_cache(maxsize=8)
def _get_key_ring(keys: tuple[str, ...]) -> KeyRing:
    return KeyRing(keys)


def _make_key_id(key: str) -> str:
    # Identifies a key without revealing it: keys are long and random.
    return hashlib.sha256(b"kid:" + key.encode()).hexdigest()[:12]
