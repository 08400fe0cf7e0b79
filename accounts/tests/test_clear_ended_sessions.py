from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import TokenFamily
from accounts.tokens import family_open

pytestmark = pytest.mark.django_db


def _make_families(user):
    for _ in range(3):
        family_open(user=user)
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
