"""First step of an import: store the file's records as rows. The next step is match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from social.models import Import, ImportFile, ImportRow
from social.transfer.formats.reader import read_records
from social.transfer.formats.records import FileError, Record, RecordKind
from social.transfer.leases import Lease, LeaseLostError, lock_import

BATCH_SIZE = 1000


def open_file(job: Import) -> Iterator[ImportRow]:
    """Return an iterator over the rows of the file that are not stored yet.

    The file is parsed once, however many batches that takes. Raises LeaseLostError if the member
    has deleted the import, and FileError while iterating.
    """
    file = ImportFile.objects.filter(of_id=job.pk).first()
    if file is None:
        raise LeaseLostError
    return islice(_make_rows(job, bytes(file.content)), job.position, None)


def read_batch(lease: Lease, rows: Iterator[ImportRow]) -> Import:
    """Store the next rows of the file; after the last ones the import continues with matching."""
    with lock_import(lease) as job:
        try:
            batch = list(islice(rows, BATCH_SIZE))
        except FileError as error:
            import_fail(job, error.reason)
            return job
        ImportRow.objects.bulk_create(batch)
        job.position += len(batch)
        if len(batch) < BATCH_SIZE:
            job.total = job.position
            job.continue_with(Import.Step.MATCH)
            ImportFile.objects.filter(of_id=job.pk).delete()
    return job


def import_fail(job: Import, reason: str) -> None:
    """End an import that cannot be read or matched; none of its rows stay."""
    job.total, job.reason = 0, reason[:300]
    job.finish(Import.State.FAILED)
    ImportRow.objects.filter(of_id=job.pk).delete()
    ImportFile.objects.filter(of_id=job.pk).delete()


def _make_rows(job: Import, content: bytes) -> Iterator[ImportRow]:
    playlist_names: Counter[str] = Counter()
    today = job.created_at.date()
    for number, record in enumerate(read_records(content, name=job.filename, today=today), 1):
        row = _make_row(job.pk, number, record)
        if record.kind == RecordKind.PLAYLIST:
            # The index among the playlists of this name in the file; see MemberLibrary.
            row.values["namesake"] = playlist_names[row.values["name"]]
            playlist_names[row.values["name"]] += 1
        yield row


def _make_row(import_id: int, number: int, record: Record) -> ImportRow:
    row = ImportRow(
        of_id=import_id,
        number=number,
        file=record.file[:300],
        line=record.line,
        kind=record.kind or "",
        title=record.title,
        year=record.year,
        tmdb_id=record.tmdb_id,
        imdb_id=record.imdb_id,
        named_movie_id=record.movie_id,
        values=record.values or {},
    )
    if record.error is not None:
        row.verdict = ImportRow.Verdict.INVALID
        row.code, reason = record.error
        row.reason = reason[:300]
    return row
