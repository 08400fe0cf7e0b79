"""Password checks under limits, for every place that accepts a password: the API and the admin.

An attempt is counted before its password is hashed, and refunded if the password was right. So a
limit also holds for simultaneous attempts: no more wrong passwords than the limit reach the hasher.

An address that the member has logged in from before has its own count. Attackers elsewhere who
exhaust the limit of the account, or of all accounts together, do not lock the member out there.

An unknown account costs a count and a hash too, so that responses do not reveal which accounts exist.
"""

from __future__ import annotations

from typing import NoReturn

from django.contrib.auth.hashers import make_password
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from accounts.models import User
from accounts.selectors import find_user, is_known_address
from accounts.services import known_address_record, user_record_login
from nexus.core.api import throttling
from nexus.core.db.connection_pool import release_connections
from nexus.core.observability.metrics import PASSWORD_ATTEMPTS
from nexus.core.text import fold


def log_in(request: HttpRequest, *, login: str, password: str) -> User | None:
    """Return the active user with this username or e-mail address and this password, else None.

    Raises Throttled after too many failed logins.
    """
    user = find_user(login)
    # Without the prefix, a username of digits would spend the limit of the user with that id.
    account = str(user.pk) if user else f"name {fold(login)}"
    if not _check_password(request, user=user, account=account, password=password):
        return None
    assert user is not None
    user_record_login(user=user)
    remember_address(request, user=user)
    return user


def confirm_password(request: HttpRequest, *, user: User, password: str) -> bool:
    """Return whether this is the password of a user who is logged in.

    Raises Throttled like `log_in`, and after too many attempts of the client's address.
    """
    _hit_or_raise(request, "login", throttling.get_client_address(request))
    return _check_password(request, user=user, account=str(user.pk), password=password)


def remember_address(request: HttpRequest, *, user: User) -> None:
    """Record the client's address as one that the user has logged in from."""
    address = throttling.get_client_address(request)
    if address != throttling.UNKNOWN_ADDRESS:
        known_address_record(user_id=user.pk, address=address)


def _check_password(
    request: HttpRequest, *, user: User | None, account: str, password: str
) -> bool:
    """Return whether the user is active and this is the password. Raises Throttled."""
    address = throttling.get_client_address(request)
    is_known = is_known_address(user_id=user.pk if user else 0, address=address)
    subject = f"{account} at {address}" if is_known else account
    account_usage = _hit_or_raise(request, "login_account", subject)
    overall_usage = throttling.hit(request, "login_overall", "")
    if overall_usage.is_exceeded and not is_known:
        throttling.refund(account_usage)
        _raise_throttled(overall_usage)
    # The hash takes 0.3 s, in which other requests use the connection.
    release_connections()
    if user is None:
        make_password(password)
        is_correct = False
    else:
        is_correct = user.check_password(password) and user.is_active
    PASSWORD_ATTEMPTS.labels("right" if is_correct else "wrong").inc()
    if is_correct:
        throttling.refund(account_usage, overall_usage)
    return is_correct


def _hit_or_raise(request: HttpRequest, scope: str, subject: str) -> throttling.RateLimitUsage:
    usage = throttling.hit(request, scope, subject)
    if usage.is_exceeded:
        _raise_throttled(usage)
    return usage


def _raise_throttled(usage: throttling.RateLimitUsage) -> NoReturn:
    PASSWORD_ATTEMPTS.labels("refused").inc()
    raise Throttled(wait=usage.reset_s)
