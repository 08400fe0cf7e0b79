"""Writes to identity: registering and logging in. Token families are in accounts.tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from nexus.core.errors import field_error
from nexus.core.lookups import without_case

USERNAME_TAKEN = "A user with that username already exists."
EMAIL_TAKEN = "A user with that e-mail address already exists."


def user_register(*, username: str, email: str, password: str) -> User:
    """Make a member. Raises ValidationError on the field whose value is taken, without case."""
    try:
        with transaction.atomic():
            return User.objects.create_user(username=username, email=email, password=password)
    except IntegrityError:
        # Of two at once, the constraint lets one through; tell the other which field it was.
        if User.objects.filter(username__lower=without_case(username)).exists():
            raise field_error("username", USERNAME_TAKEN, "unique") from None
        raise field_error("email", EMAIL_TAKEN, "unique") from None


def user_named(login: str) -> User | None:
    """The member of a username or an e-mail address, without case."""
    # No username holds an @, so that one can never pose as another's address.
    column = "email__lower" if "@" in login else "username__lower"
    return User.objects.filter(Q(**{column: without_case(login)})).first()


def password_matches(*, user: User | None, password: str) -> bool:
    """Whether the password is the active member's; as slow where there is none."""
    if user is None:
        make_password(password)
        return False
    return user.check_password(password) and user.is_active


def user_logged_in(*, user: User) -> None:
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())


def profile_update(*, user: User, changes: dict[str, Any]) -> User:
    """Set some of the profile's fields."""
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))
    return user
