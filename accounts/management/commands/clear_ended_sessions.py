"""Delete rows that no session, login or rate limit needs any more; run it nightly."""

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

FAMILIES_PER_DELETE = 1000
# After this time an unused address may have been assigned to somebody else.
ADDRESS_LIFETIME = timedelta(days=90)


class Command(BaseCommand):
    help = (
        "Delete sessions whose tokens have all expired, client addresses without a login for 90 "
        "days, and rate-limit windows that are over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="count what would be deleted; delete nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # A revoked session stays while a token of it is valid: a replay must still be detected.
        idle_limit = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
        assert isinstance(idle_limit, timedelta)
        now = timezone.now()
        families = TokenFamily.objects.filter(
            Q(expires_at__lt=now) | Q(last_used_at__lt=now - idle_limit)
        )
        addresses = KnownAddress.objects.filter(last_login_at__lt=now - ADDRESS_LIFETIME)
        windows = LimitWindow.objects.filter(closes_at__lt=now)
        if options["dry_run"]:
            self.stdout.write(
                f"Would delete {families.count():,} sessions, {addresses.count():,} addresses "
                f"and {windows.count():,} rate-limit windows."
            )
            return
        session_count = 0
        while ids := list(families.values_list("id", flat=True)[:FAMILIES_PER_DELETE]):
            TokenFamily.objects.filter(id__in=ids).delete()
            session_count += len(ids)
            self.stderr.write(f"sessions: {session_count:,} deleted")
        call_command("clearsessions")
        address_count, _ = addresses.delete()
        window_count, _ = windows.delete()
        self.stdout.write(
            f"Deleted {session_count:,} sessions, {address_count:,} addresses and "
            f"{window_count:,} rate-limit windows."
        )
