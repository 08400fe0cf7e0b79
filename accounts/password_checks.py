"""Who may try a password, and how often: the same wherever one is tried, in the API and the admin.

Counted before the password is hashed, and taken back when it was right, so that however many arrive
at once no more wrong ones than the limit reach the hasher. Addresses from which the member has
logged in before have a count of their own: whoever spends the account's count elsewhere, or that of
all accounts together, does not lock its owner out. An account that is not there is counted, and its
password hashed, like one that is.
"""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from accounts.models import User
from accounts.services import (
    address_remember,
    find_user,
    is_known_address,
    is_password_correct,
    user_record_login,
)
from nexus.core.api import throttling
from nexus.core.observability.metrics import PASSWORD_ATTEMPTS
from nexus.core.text import fold


def log_in(request: HttpRequest, *, login: str, password: str) -> User | None:
    """The active member with this name or e-mail address and this password, else None.

    Raises Throttled where too many wrong ones were tried.
    """
    user = find_user(login)
    # No member's id, so that a name of digits cannot spend the count of one.
    account = str(user.pk) if user else f"name {fold(login)}"
    if not _is_right(request, user=user, account=account, password=password):
        return None
    assert user is not None
    user_record_login(user=user)
    remember_address(request, user=user)
    return user


def confirm_password(request: HttpRequest, *, user: User, password: str) -> bool:
    """Whether this is the password of a member who is logged in, as its limits let one ask.

    Raises Throttled as `log_in`, and where its address has tried too many of whomever.
    """
    _count(request, "login", throttling.get_client_address(request))
    return _is_right(request, user=user, account=str(user.pk), password=password)


def _is_right(request: HttpRequest, *, user: User | None, account: str, password: str) -> bool:
    """Whether the password is this active member's, counted for the account and for all together."""
    address = throttling.get_client_address(request)
    is_known = is_known_address(user_id=user.pk if user else 0, address=address)
    counts = [_count(request, "login_account", f"{account} at {address}" if is_known else account)]
    overall = throttling.hit(request, "login_overall", "")
    if overall.is_exceeded and not is_known:
        throttling.refund(*counts)
        _refuse(overall)
    if not is_password_correct(user=user, password=password):
        PASSWORD_ATTEMPTS.labels("wrong").inc()
        return False
    PASSWORD_ATTEMPTS.labels("right").inc()
    throttling.refund(*counts, overall)
    return True


def remember_address(request: HttpRequest, *, user: User) -> None:
    """Take the client's address as one of the member's own, who has just proved who they are."""
    address = throttling.get_client_address(request)
    if address != throttling.UNKNOWN_ADDRESS:
        address_remember(user_id=user.pk, address=address)


def _count(request: HttpRequest, scope: str, account: str) -> throttling.RateLimitUsage:
    count = throttling.hit(request, scope, account)
    if count.is_exceeded:
        _refuse(count)
    return count


def _refuse(count: throttling.RateLimitUsage) -> None:
    PASSWORD_ATTEMPTS.labels("refused").inc()
    raise Throttled(wait=count.reset_s)
