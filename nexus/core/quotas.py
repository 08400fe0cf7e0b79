"""Quotas: how many rows of a table one member may own (settings.MEMBER_QUOTAS).

A service that creates rows locks the member first, so that concurrent requests count one after another.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from nexus.core.api.exceptions import Problem


def count_free_rows(name: str, owned: QuerySet[Any] | int) -> int:
    """Return how many more rows the member may create, given the rows they own or their number."""
    quota: int = settings.MEMBER_QUOTAS[name]
    if not isinstance(owned, int):
        owned = owned.order_by().values("pk")[:quota].count()
    return max(quota - owned, 0)


def check_quota(
    name: str, owned: QuerySet[Any] | int, *, adding: int = 1, code: str | None = None
) -> None:
    """Raise Problem (409) that names the quota if the member may not create so many more rows."""
    if count_free_rows(name, owned) < adding:
        raise make_quota_problem(name, code=code)


def make_quota_problem(name: str, *, code: str | None = None) -> Problem:
    """Return the 409 for a member who has as many rows as the quota allows."""
    thing = name.replace("_", " ")
    detail = f"A member has at most {settings.MEMBER_QUOTAS[name]:,} {thing}. Delete some first."
    return Problem(409, code or f"too_many_{name}", detail)
