"""The command that deletes ended sessions, old addresses and closed rate-limit windows."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import KnownAddress, TokenFamily
from accounts.services import known_address_record
from accounts.tokens import family_create
from nexus.core.models import LimitWindow

pytestmark = pytest.mark.django_db


@pytest.fixture
def families(make_user):
    """One expired session, one that was idle for too long and an active one."""
    ann, now = make_user("ann"), timezone.now()
    for _ in range(3):
        family_create(user=ann)
    expired, idle, active = TokenFamily.objects.order_by("created_at")
    TokenFamily.objects.filter(id=expired.id).update(expires_at=now - timedelta(seconds=1))
    TokenFamily.objects.filter(id=idle.id).update(last_used_at=now - timedelta(days=15))
    return expired, idle, active


@pytest.fixture
def addresses_and_windows(make_user):
    """Three addresses, of which one is old, and two windows, of which one is closed."""
    ann, now = make_user("ann"), timezone.now()
    for number, days in enumerate((1, 89, 91)):
        known_address_record(user_id=ann.pk, address=f"192.0.2.{number}")
        latest_id = KnownAddress.objects.latest("id").id
        KnownAddress.objects.filter(id=latest_id).update(last_login_at=now - timedelta(days=days))
    for key, minutes in (("open", 1), ("closed", -1)):
        closes_at = now + timedelta(minutes=minutes)
        LimitWindow.objects.create(key=key, used=3, closes_at=closes_at)


def test_only_sessions_that_cannot_be_continued_are_deleted(families, capsys):
    _, _, active = families

    call_command("clear_ended_sessions")

    assert TokenFamily.objects.get().id == active.id
    assert "Deleted 2 sessions" in capsys.readouterr().out


def test_old_addresses_and_closed_windows_are_deleted(addresses_and_windows, capsys):
    call_command("clear_ended_sessions")

    assert KnownAddress.objects.count() == 2
    assert LimitWindow.objects.get().key == "open"
    assert "1 addresses and 1 rate-limit windows" in capsys.readouterr().out


def test_dry_run_counts_sessions_and_deletes_none(families, capsys):
    call_command("clear_ended_sessions", "--dry-run")

    assert TokenFamily.objects.count() == 3
    assert "Would delete 2 sessions" in capsys.readouterr().out


def test_dry_run_counts_addresses_and_windows_and_deletes_none(addresses_and_windows, capsys):
    call_command("clear_ended_sessions", "--dry-run")

    assert (KnownAddress.objects.count(), LimitWindow.objects.count()) == (3, 2)
    assert "1 addresses and 1 rate-limit windows" in capsys.readouterr().out
