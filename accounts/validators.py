"""Rules for usernames, shared by registration, the admin and `createsuperuser`."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

# An @ would make a username look like an e-mail address, which a login looks up instead.
_USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)
# Paths such as /profiles/me/ use these words instead of a username.
_PATH_WORDS = frozenset({"me", "stats"})
# Made-up and imported users and guests have such names.
_RESERVED_PREFIXES = ("sample-", "ml-", "guest-")
# Names by which members would take somebody for staff or for the service itself.
_STAFF_NAMES = (
    *("abuse", "admin", "administrator", "administration", "anonymous", "api", "billing"),
    *("contact", "deleted", "everyone", "help", "helpdesk", "hostmaster", "info", "legal"),
    *("mail", "mailer-daemon", "mod", "moderation", "moderator", "moderators", "nexus"),
    *("nexus-movie", "nexus-movie-api", "nobody", "no-reply", "none", "null", "official"),
    *("operator", "owner", "postmaster", "privacy", "root", "security", "service", "staff"),
    *("superuser", "support", "sysadmin", "sysop", "system", "team", "tmdb", "undefined"),
    *("user", "username", "webmaster"),
)
_SEPARATORS = str.maketrans("", "", "_.+-")
# Digits and letters that look like another letter.
_LOOK_ALIKES = str.maketrans("0134578l", "oieastbi")


def validate_username(username: str) -> None:
    """Raise ValidationError for characters that no username has, and for names of URLs and imports."""
    if not _USERNAME.fullmatch(username):
        message = "Use only letters, digits and _ . + - , and start with a letter, a digit or _."
        raise ValidationError(message, code="invalid")
    name = username.lower()
    if name in _PATH_WORDS or name.startswith(_RESERVED_PREFIXES):
        raise ValidationError("This username is reserved. Choose another one.", code="reserved")


def validate_member_username(username: str) -> None:
    """Raise ValidationError for a name that looks like one of staff, as `Adm1n` and `sup-port` do."""
    if _make_skeleton(username) in _STAFF_SKELETONS:
        message = "This username is reserved for staff. Choose another one."
        raise ValidationError(message, code="reserved")


def _make_skeleton(name: str) -> str:
    """Return what remains of a name without case, separators and look-alikes."""
    text = name.lower().translate(_SEPARATORS).translate(_LOOK_ALIKES)
    return text.replace("rn", "m").replace("vv", "w")


_STAFF_SKELETONS = frozenset(map(_make_skeleton, _STAFF_NAMES))
