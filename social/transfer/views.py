"""One's data in and out, over HTTP."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.urls import reverse
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from nexus.core.api.exceptions import NotFound, Problem
from nexus.core.api.pagination import paginate
from nexus.core.api.query_params import PageQuery
from nexus.core.api.throttling import hit_or_raise
from nexus.core.api.views import ApiViewSet, Download, PageOf, contract
from nexus.core.db.bounded_page import Key, Ordering
from social.models import Import, ImportRow
from social.transfer.exports import write_export
from social.transfer.selectors import import_counts, movies_of_rows
from social.transfer.serializers import (
    ImportApplySerializer,
    ImportDetailSerializer,
    ImportRowEditSerializer,
    ImportRowSerializer,
    ImportRowsQuery,
    ImportSerializer,
    ImportUploadSerializer,
)
from social.transfer.services import (
    MAX_FILE_BYTES,
    import_apply,
    import_create,
    import_delete,
    import_row_correct,
    import_undo,
)

NEWEST_FIRST = Ordering((Key("created_at", True), Key("id", True)))
BY_NUMBER = Ordering((Key("number"),))
# Up to here an export is in memory while it is sent, beyond it in a file.
SPOOLED_BYTES = 4 * 1024 * 1024
_PART_BYTES = 64 * 1024
_NOT_NOW = "The import is in a state in which this cannot be done; `detail` says which."
_TOO_LARGE = f"The file is over {MAX_FILE_BYTES // 1024**2} MiB."


def _imports(rows: list[Any]) -> Any:
    return ImportSerializer(rows, many=True).data


def _rows(rows: list[Any]) -> Any:
    return ImportRowSerializer(rows, many=True, context={"films": movies_of_rows(rows)}).data


def _own(request: Request, pk: int) -> Import:
    """Raises NotFound (404) for other members' imports, as for none."""
    own = Import.objects.filter(id=pk, user_id=request.user.pk).first()
    if own is None:
        raise NotFound
    return own


class ImportListViewSet(ApiViewSet):
    """The caller's imports, and the way in for a file."""

    permission_classes = [IsAuthenticated]
    parser_classes = [MultiPartParser]

    @contract(query=PageQuery, responses={200: PageOf(ImportSerializer)})
    def list(self, request: Request) -> Response:
        """The caller's imports, newest first."""
        own: QuerySet[Import] = Import.objects.filter(user_id=request.user.pk)
        return paginate(request, self.query, own, NEWEST_FIRST, _imports)

    @contract(
        body=ImportUploadSerializer,
        responses={201: ImportSerializer, 200: ImportSerializer},
        errors={
            409: "The caller keeps as many imports as they may; one must be deleted first.",
            413: _TOO_LARGE,
            415: "The body is not multipart/form-data.",
        },
    )
    def create(self, request: Request) -> Response:
        """Send a file to import: a dry run, of which each row gets a verdict.

        Letterboxd's ZIP or one of its CSV files, IMDb's CSV, Trakt's JSON, TMDb's CSV or our own
        export, told apart by content. It is read in the background: `GET` the import until its
        state is `ready`. 200 where the same file waits already.
        """
        caller = request.user
        hit_or_raise(request, "import", str(caller.pk))
        file: UploadedFile = self.body["file"]
        if (file.size or 0) > MAX_FILE_BYTES:
            raise Problem(413, "too_large", _TOO_LARGE)
        taken = import_create(user_id=caller.pk, filename=file.name or "", content=file.read())
        location = request.build_absolute_uri(reverse("import-detail", args=[taken.made.pk]))
        return Response(
            ImportSerializer(taken.made).data,
            status=201 if taken.created else 200,
            headers={"Location": location},
        )


class ImportViewSet(ApiViewSet):
    """One of the caller's imports."""

    permission_classes = [IsAuthenticated]

    @contract(query=ImportRowsQuery, responses={200: ImportDetailSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """An import: how far it is, how many rows have each verdict, and a page of them."""
        job = _own(request, pk)
        rows: QuerySet[ImportRow] = ImportRow.objects.filter(of_id=job.pk)
        if "verdict" in self.query:
            rows = rows.filter(verdict=self.query["verdict"])
        page = paginate(request, self.query, rows, BY_NUMBER, _rows)
        counts = import_counts(import_id=job.pk)
        return Response(
            {
                **ImportSerializer(job).data,
                "verdicts": counts.verdicts,
                "outcomes": counts.outcomes,
                "rows": page.data,
            }
        )

    @contract(responses={204: None}, errors={409: _NOT_NOW})
    def destroy(self, request: Request, pk: int) -> Response:
        """Forget an import; what it wrote stays."""
        import_delete(import_id=_own(request, pk).pk)
        return Response(status=204)

    @contract(
        body=ImportRowEditSerializer, responses={200: ImportRowSerializer}, errors={409: _NOT_NOW}
    )
    def correct(self, request: Request, pk: int, number: int) -> Response:
        """Say which film a row means, or leave it out."""
        job, body = _own(request, pk), self.body
        row = import_row_correct(
            import_id=job.pk, number=number, movie_id=body.get("movie"), skip=body.get("skip")
        )
        return Response(_rows([row])[0])

    @contract(
        body=ImportApplySerializer,
        responses={202: ImportSerializer, 200: ImportSerializer},
        errors={409: _NOT_NOW},
    )
    def apply(self, request: Request, pk: int) -> Response:
        """Write the rows that are matched; twice is as good as once.

        In the background: `GET` the import until its state is `applied`. 200 where that is so
        already, or under way.
        """
        job = _own(request, pk)
        begun = import_apply(import_id=job.pk, on_conflict=self.body.get("on_conflict"))
        return self._asked(job, begun=begun)

    @contract(responses={202: ImportSerializer, 200: ImportSerializer}, errors={409: _NOT_NOW})
    def undo(self, request: Request, pk: int) -> Response:
        """Take back what an import wrote, and put back what stood before.

        What was changed since stays as it is: the rows' outcome `changed_since`. In the background,
        like `apply`.
        """
        job = _own(request, pk)
        return self._asked(job, begun=import_undo(import_id=job.pk))

    def _asked(self, job: Import, *, begun: bool) -> Response:
        job.refresh_from_db()
        return Response(ImportSerializer(job).data, status=202 if begun else 200)


class ExportViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(responses={200: Download("application/zip")})
    def retrieve(self, request: Request) -> Any:
        """Everything the caller owns as a ZIP of JSON and CSV, which `POST /imports/` takes back."""
        caller = request.user
        hit_or_raise(request, "export", str(caller.pk))
        parts = _archive(caller.pk)
        length = int(next(parts))
        return StreamingHttpResponse(
            parts,
            content_type="application/zip",
            headers={
                "Content-Disposition": 'attachment; filename="nexus-export.zip"',
                "Content-Length": str(length),
            },
        )


def _archive(user_id: int) -> Iterator[bytes]:
    """The length of a member's archive in digits, then its parts.

    It is written as a whole before anything is sent: the database is not kept waiting for a slow
    reader, and what fails is told as an error. Left at any point, it closes its file.
    """
    with tempfile.SpooledTemporaryFile(SPOOLED_BYTES) as file:
        write_export(user_id=user_id, to=file)
        yield str(file.tell()).encode()
        file.seek(0)
        while part := file.read(_PART_BYTES):
            yield part
