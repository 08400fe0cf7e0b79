"""`manage.py clear_ended_sessions [--dry-run]`"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db.models import Q
from django.utils import timezone

from accounts.models import KnownAddress, TokenFamily
from nexus.core.models import LimitWindow

FAMILIES_AT_ONCE = 1000
# An address that a member has not used for so long is somebody else's by now.
ADDRESS_LIFETIME = timedelta(days=90)


class Command(BaseCommand):
    help = (
        "Delete sessions whose tokens have all expired, with the record of their spent tokens, "
        "addresses nobody has logged in from for 90 days, and counts of logins that are over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say how many, delete none")

    def handle(self, *args: Any, **options: Any) -> None:
        # A family is kept while a token of it could still come back and has to be told apart.
        idle = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
        assert isinstance(idle, timedelta)
        now = timezone.now()
        ended = TokenFamily.objects.filter(Q(expires_at__lt=now) | Q(last_used_at__lt=now - idle))
        addresses = KnownAddress.objects.filter(last_login_at__lt=now - ADDRESS_LIFETIME)
        windows = LimitWindow.objects.filter(closes_at__lt=now)
        if options["dry_run"]:
            self.stdout.write(
                f"{ended.count():,} sessions would be deleted, {addresses.count():,} addresses and "
                f"{windows.count():,} counts."
            )
            return
        total = 0
        while ids := list(ended.values_list("id", flat=True)[:FAMILIES_AT_ONCE]):
            TokenFamily.objects.filter(id__in=ids).delete()
            total += len(ids)
            self.stderr.write(f"sessions: {total:,} deleted")
        call_command("clearsessions")
        forgotten, _ = addresses.delete()
        closed, _ = windows.delete()
        self.stdout.write(
            f"{total:,} ended sessions deleted, {forgotten:,} addresses and {closed:,} counts."
        )
