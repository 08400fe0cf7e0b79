from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import KnownAddress, TokenFamily
from accounts.services import known_address_record
from accounts.tokens import family_create
from nexus.core.models import LimitWindow

pytestmark = pytest.mark.django_db


def _make_families(user):
    for _ in range(3):
        family_create(user=user)
    expired, idle, _ = TokenFamily.objects.order_by("created_at")
    now = timezone.now()
    TokenFamily.objects.filter(id=expired.id).update(expires_at=now - timedelta(seconds=1))
    TokenFamily.objects.filter(id=idle.id).update(last_used_at=now - timedelta(days=15))


def test_only_sessions_that_cannot_come_back_are_deleted(make_user, capsys):
    _make_families(make_user("ann"))
    call_command("clear_ended_sessions", "--dry-run")
    assert TokenFamily.objects.count() == 3
    assert "2 sessions would be deleted" in capsys.readouterr().out
    call_command("clear_ended_sessions")
    assert TokenFamily.objects.count() == 1
    assert "2 ended sessions deleted" in capsys.readouterr().out


def test_old_addresses_and_closed_windows_go_too_and_others_stay(make_user, capsys):
    ann, now = make_user("ann"), timezone.now()
    for number, days in enumerate((1, 89, 91)):
        known_address_record(user_id=ann.pk, address=f"192.0.2.{number}")
        last = KnownAddress.objects.latest("id").id
        KnownAddress.objects.filter(id=last).update(last_login_at=now - timedelta(days=days))
    for key, minutes in (("open", 1), ("closed", -1)):
        closes_at = now + timedelta(minutes=minutes)
        LimitWindow.objects.create(key=key, used=3, closes_at=closes_at)
    call_command("clear_ended_sessions", "--dry-run")
    assert "1 addresses and 1 counts" in capsys.readouterr().out
    assert (KnownAddress.objects.count(), LimitWindow.objects.count()) == (3, 2)
    call_command("clear_ended_sessions")
    assert "1 addresses and 1 counts" in capsys.readouterr().out
    assert KnownAddress.objects.count() == 2
    assert LimitWindow.objects.get().key == "open"
