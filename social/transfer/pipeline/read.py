"""First step of an import: store the file's records as rows. The next step is match."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import IO, Any

from nexus.core.quotas import count_free_rows, make_quota_problem
from social.models import Import, ImportFilePiece, ImportRow
from social.transfer.formats.reader import read_records
from social.transfer.formats.records import FileError, LeftOut, Record, RecordKind
from social.transfer.pipeline.batch import StepOverError, lock_import

BATCH_SIZE = 1000


def read_batches(job: Import, *, is_over: Callable[[], bool]) -> Import:
    """Store rows of the file until all are stored or `is_over`, which is called after each batch.

    The file is copied to the disk and read from there as a stream. Raises StepOverError.
    """
    with tempfile.TemporaryFile() as file:
        if not _copy_file(job.pk, file):
            return _fail_without_file(job.pk)
        left_out = LeftOutCounter()
        # After a restart the file is read from its start, so that `left_out` counts all of it.
        rows = islice(_make_rows(job, file, left_out), job.position, None)
        position = job.position
        while True:
            job = _read_batch(job.pk, rows, left_out, position=position)
            position = job.position
            if job.step != Import.Step.READ or is_over():
                return job


def _copy_file(import_id: int, target: IO[bytes]) -> bool:
    """Copy the pieces of the uploaded file one by one; return whether there are any."""
    pieces = ImportFilePiece.objects.filter(of_id=import_id)
    for number in count():
        content = pieces.filter(number=number).values_list("content", flat=True).first()
        if content is None:
            break
        target.write(content)
    return number > 0


def _fail_without_file(import_id: int) -> Import:
    """End an import whose file another release has stored, during an update, in its own way."""
    with lock_import(import_id, Import.Step.READ) as job:
        import_fail(job, "The service does not have the file any more. Upload it again.")
    return job


class LeftOutCounter:
    """Counts what a file contains that is not imported, by kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}

    def add(self, left_out: LeftOut) -> None:
        self._counts[left_out.kind] += left_out.count
        self._reasons.setdefault(left_out.kind, left_out.reason)

    def get_summary(self) -> list[dict[str, Any]]:
        """Return each kind with its count, the most frequent first, and the reason of the first."""
        return [
            {"kind": kind, "count": count, "reason": self._reasons[kind]}
            for kind, count in self._counts.most_common()
        ]


def _read_batch(
    import_id: int, rows: Iterator[ImportRow], left_out: LeftOutCounter, *, position: int
) -> Import:
    """Store the next rows of the file; after the last ones the import continues with matching."""
    with lock_import(import_id, Import.Step.READ) as job:
        if job.position != position:
            raise StepOverError
        try:
            batch = list(islice(rows, BATCH_SIZE))
        except FileError as error:
            import_fail(job, error.reason)
            return job
        if count_free_rows("import_rows", Import.objects.count_rows(job.user_id)) < len(batch):
            import_fail(job, str(make_quota_problem("import_rows").detail))
            return job
        ImportRow.objects.bulk_create(batch)
        job.position += len(batch)
        if len(batch) < BATCH_SIZE:
            job.total, job.left_out = job.position, left_out.get_summary()
            job.continue_with(Import.Step.MATCH)
            ImportFilePiece.objects.filter(of_id=job.pk).delete()
    return job


def import_fail(job: Import, reason: str) -> None:
    """End an import that cannot be read or matched; none of its rows stay."""
    job.total, job.reason = 0, reason[:300]
    job.finish(Import.State.FAILED)
    ImportRow.objects.filter(of_id=job.pk).delete()
    ImportFilePiece.objects.filter(of_id=job.pk).delete()


def _make_rows(job: Import, file: IO[bytes], left_out: LeftOutCounter) -> Iterator[ImportRow]:
    playlist_names: Counter[str] = Counter()
    number = 0
    for item in read_records(file, name=job.filename, today=job.created_at.date()):
        if isinstance(item, LeftOut):
            left_out.add(item)
            continue
        if item.error is not None:
            left_out.add(LeftOut(*item.error))
        number += 1
        row = _make_row(job.pk, number, item)
        if item.kind == RecordKind.PLAYLIST:
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
