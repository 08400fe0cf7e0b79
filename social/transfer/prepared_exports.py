"""Exports of members with much data: requested, prepared by the task worker and stored in pieces."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from itertools import count
from typing import IO

from django.db import transaction
from django.utils import timezone

from social.models import Export, ExportPiece, PlaylistItem, Rating, Viewing, WatchlistItem
from social.transfer.exports import write_export

# Up to this many rows an export takes less than a second, and a request writes it itself.
MAX_ROWS_OF_A_REQUEST = 5_000
PIECE_BYTES = 256 * 1024
DELETE_AFTER = timedelta(days=1)


def is_large_account(user_id: int) -> bool:
    """Return whether a member has more rows than a request may export."""
    own = [model.objects.filter(user_id=user_id) for model in (Rating, Viewing, WatchlistItem)]
    items = PlaylistItem.objects.filter(playlist__owner_id=user_id).order_by().values("pk")
    rows = items.union(*(rows.order_by().values("pk") for rows in own), all=True)
    return rows.count() > MAX_ROWS_OF_A_REQUEST


def export_prepare(*, user_id: int) -> None:
    """Write the member's requested archive to the database; do nothing if it is finished."""
    if not Export.objects.filter(pk=user_id, finished_at=None).exists():
        return
    with tempfile.TemporaryFile() as file:
        write_export(user_id=user_id, file=file)
        file.seek(0)
        with transaction.atomic():
            export = Export.objects.select_for_update().filter(pk=user_id, finished_at=None).first()
            if export is None:
                return
            ExportPiece.objects.filter(of=export).delete()
            for number in count():
                piece = file.read(PIECE_BYTES)
                if not piece:
                    break
                ExportPiece.objects.create(of=export, number=number, content=piece)
            export.finished_at = timezone.now()
            export.save(update_fields=["finished_at"])


def copy_export(*, user_id: int, target: IO[bytes]) -> None:
    """Copy the pieces of a finished archive one by one."""
    pieces = ExportPiece.objects.filter(of_id=user_id)
    for number in count():
        content = pieces.filter(number=number).values_list("content", flat=True).first()
        if content is None:
            return
        target.write(content)


def exports_delete_old() -> None:
    Export.objects.filter(requested_at__lt=timezone.now() - DELETE_AFTER).delete()
