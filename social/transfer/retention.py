"""Deletion of imports that are done."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from nexus.core.db.transactions import long_transaction
from social.models import Import


def imports_delete_old() -> int:
    """Delete the imports that were done settings.IMPORT_RETENTION_DAYS ago, with their rows.

    What they have written stays; it can no longer be undone. Return their number.
    """
    limit = timezone.now() - timedelta(days=settings.IMPORT_RETENTION_DAYS)
    outdated = Import.objects.done_before(limit)
    deleted = 0
    for import_id in list(outdated.values_list("id", flat=True)):
        # One transaction each, because an import may have 100,000 rows.
        with long_transaction():
            # The member may have requested a step since.
            job = outdated.select_for_update().filter(id=import_id).first()
            if job is not None:
                job.delete()
                deleted += 1
    return deleted
