"""Imports and exports over HTTP."""

from __future__ import annotations

import tempfile
import weakref
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import FileResponse, HttpResponse
from django.urls import reverse
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from nexus.core.api.exceptions import NotFound, Problem
from nexus.core.api.pagination import paginate
from nexus.core.api.parsers import StrictMultiPartParser
from nexus.core.api.permissions import HasSession, IsNotGuest
from nexus.core.api.query_params import PageQuery
from nexus.core.api.throttling import hit_or_raise
from nexus.core.api.views import ApiViewSet, Download, PageOf, contract
from nexus.core.db.bounded_page import Key, Ordering
from nexus.core.db.connection_pool import release_connections
from social.models import Import, ImportRow
from social.transfer.exports import write_export
from social.transfer.formats.own_table import TEMPLATE
from social.transfer.prepared_exports import copy_export, is_large_account
from social.transfer.selectors import count_import_rows, get_movies_of_rows
from social.transfer.serializers import (
    ExportSerializer,
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
    export_request,
    import_apply,
    import_create,
    import_delete,
    import_match,
    import_row_correct,
    import_undo,
)

NEWEST_FIRST = Ordering((Key("created_at", True), Key("id", True)))
BY_NUMBER = Ordering((Key("number"),))
# An export is in memory up to this size, and in a temporary file beyond it.
MAX_EXPORT_BYTES_IN_MEMORY = 4 * 1024 * 1024
EXPORT_RETRY_AFTER_S = 5
_WRONG_STATE = "The import's state does not allow this; `detail` names the state."
_TOO_LARGE = f"The file is over {MAX_FILE_BYTES // 1024**2} MiB."


def _serialize_imports(imports: list[Any]) -> Any:
    return ImportSerializer(imports, many=True).data


def _serialize_rows(rows: list[Any]) -> Any:
    context = {"movies": get_movies_of_rows(rows)}
    return ImportRowSerializer(rows, many=True, context=context).data


def _get_own_import(user_id: int, pk: int) -> Import:
    """Return one of the caller's imports. Raises NotFound (404) for any other."""
    job = Import.objects.filter(id=pk, user_id=user_id).first()
    if job is None:
        raise NotFound
    return job


class ImportListViewSet(ApiViewSet):
    """The caller's imports, and the upload of a file."""

    permission_classes = [IsAuthenticated, HasSession, IsNotGuest]
    parser_classes = [StrictMultiPartParser]

    @contract(query=PageQuery, responses={200: PageOf(ImportSerializer)})
    def list(self, request: Request) -> Response:
        """List the caller's imports, newest first."""
        own: QuerySet[Import] = Import.objects.filter(user_id=self.member_id)
        return paginate(request, self.query, own, NEWEST_FIRST, _serialize_imports)

    @contract(
        body=ImportUploadSerializer,
        responses={201: ImportSerializer, 200: ImportSerializer},
        errors={
            409: "A quota is full: `too_many_imports`, `too_many_import_rows`.",
            413: _TOO_LARGE,
            415: "The body is not multipart/form-data.",
        },
        response_headers={201: ["Location"], 200: ["Location"]},
    )
    def create(self, request: Request) -> Response:
        """Upload a file to import. Nothing is written to the account yet.

        An export of Letterboxd, IMDb, Trakt, TMDb, Simkl, Movary, Yamtrack, MovieLens or Netflix, our own
        export, or a CSV file with the columns of `/imports/template.csv`; the content decides which.
        Every row gets a verdict in the background: `GET` the import until its state is `ready`. 200 if
        the same file of the same name is waiting already.
        """
        hit_or_raise(request, "import", str(self.member_id))
        # A client that sends its file slowly must not occupy a connection meanwhile.
        release_connections()
        file: UploadedFile = self.body["file"]
        if (file.size or 0) > MAX_FILE_BYTES:
            raise Problem(413, "too_large", _TOO_LARGE)
        assert file.file is not None
        job, created = import_create(
            user_id=self.member_id, filename=file.name or "", file=file.file
        )
        location = request.build_absolute_uri(reverse("import-detail", args=[job.pk]))
        return Response(
            ImportSerializer(job).data,
            status=201 if created else 200,
            headers={"Location": location},
        )


class ImportViewSet(ApiViewSet):
    """One of the caller's imports."""

    permission_classes = [IsAuthenticated, HasSession, IsNotGuest]

    @contract(query=ImportRowsQuery, responses={200: ImportDetailSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Return an import: its progress, what it leaves out, its rows by verdict and outcome, a page of them."""
        job = _get_own_import(self.member_id, pk)
        rows: QuerySet[ImportRow] = ImportRow.objects.filter(of_id=job.pk)
        if "verdict" in self.query:
            rows = rows.filter(verdict=self.query["verdict"])
        page = paginate(request, self.query, rows, BY_NUMBER, _serialize_rows)
        counts = count_import_rows(job.pk)
        return Response(
            {
                **ImportSerializer(job).data,
                "left_out": job.left_out,
                "verdicts": counts.verdicts,
                "outcomes": counts.outcomes,
                "rows": page.data,
            }
        )

    @contract(responses={204: None}, errors={409: _WRONG_STATE})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete an import; what it wrote to the account stays."""
        import_delete(import_id=_get_own_import(self.member_id, pk).pk)
        return Response(status=204)

    @contract(
        body=ImportRowEditSerializer,
        responses={200: ImportRowSerializer},
        errors={409: _WRONG_STATE},
    )
    def correct(self, request: Request, pk: int, number: int) -> Response:
        """Choose the movie of a row, or skip the row.

        The movie is set on all rows of the file with the same title and year.
        """
        job, body = _get_own_import(self.member_id, pk), self.body
        row = import_row_correct(
            import_id=job.pk, number=number, movie_id=body.get("movie"), skip=body.get("skip")
        )
        return Response(_serialize_rows([row])[0])

    @contract(responses={202: ImportSerializer, 200: ImportSerializer}, errors={409: _WRONG_STATE})
    def match(self, request: Request, pk: int) -> Response:
        """Match the rows without a movie again, because the catalogue has grown since.

        In the background: `GET` the import until its state is `ready`. What is applied already stays;
        applying again writes the rows that are matched now. 200 if the rows are being matched.
        """
        job = _get_own_import(self.member_id, pk)
        hit_or_raise(request, "import", str(self.member_id))
        requested = import_match(import_id=job.pk)
        job.refresh_from_db()
        return Response(ImportSerializer(job).data, status=202 if requested else 200)

    @contract(
        body=ImportApplySerializer,
        responses={202: ImportSerializer, 200: ImportSerializer},
        errors={409: _WRONG_STATE},
    )
    def apply(self, request: Request, pk: int) -> Response:
        """Write the matched rows to the account; applying twice changes nothing.

        In the background: `GET` the import until its state is `applied`. 200 if it is applied or
        being applied already.
        """
        job = _get_own_import(self.member_id, pk)
        requested = import_apply(import_id=job.pk, on_conflict=self.body.get("on_conflict"))
        job.refresh_from_db()
        return Response(ImportSerializer(job).data, status=202 if requested else 200)

    @contract(responses={202: ImportSerializer, 200: ImportSerializer}, errors={409: _WRONG_STATE})
    def undo(self, request: Request, pk: int) -> Response:
        """Take back what an import wrote, and restore what it replaced.

        What you have changed since stays; those rows have the outcome `changed_since`. In the
        background, like `apply`.
        """
        job = _get_own_import(self.member_id, pk)
        requested = import_undo(import_id=job.pk)
        job.refresh_from_db()
        return Response(ImportSerializer(job).data, status=202 if requested else 200)


class ImportTemplateViewSet(ApiViewSet):
    """The columns of a file that people write themselves."""

    permission_classes = [IsAuthenticated, HasSession, IsNotGuest]

    @contract(responses={200: Download("text/csv")}, response_headers={200: ["ETag"]})
    def retrieve(self, request: Request) -> Any:
        """Return a CSV file with our own column names and no rows, to be filled in and uploaded."""
        headers = {"Content-Disposition": 'attachment; filename="template.csv"'}
        return HttpResponse(TEMPLATE, content_type="text/csv", headers=headers)


class ExportViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated, HasSession, IsNotGuest]

    @contract(
        responses={200: Download("application/zip"), 202: ExportSerializer},
        response_headers={202: ["Retry-After"]},
    )
    def retrieve(self, request: Request) -> Any:
        """Export everything the caller owns as a ZIP of JSON and CSV files.

        `POST /imports/` reads it. The status is 202 if that takes a while, because the caller owns much:
        send the same request again after the seconds of `Retry-After`, until it is 200. The archive is
        at most 15 minutes old then.
        """
        export = None
        if is_large_account(self.member_id):
            export = export_request(user_id=self.member_id)
            if export.finished_at is None:
                headers = {"Retry-After": str(EXPORT_RETRY_AFTER_S)}
                return Response(ExportSerializer(export).data, status=202, headers=headers)
        hit_or_raise(request, "export", str(self.member_id))
        # Written completely before anything is sent: a slow client holds no database connection,
        # and an error is still an error response.
        file = tempfile.SpooledTemporaryFile(MAX_EXPORT_BYTES_IN_MEMORY)  # noqa: SIM115
        try:
            if export is None:
                write_export(user_id=self.member_id, file=file)
            else:
                copy_export(user_id=self.member_id, target=file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        response = FileResponse(
            file, as_attachment=True, filename="nexus-export.zip", content_type="application/zip"
        )
        # The response closes the file after sending it; this closes one that is never sent.
        weakref.finalize(response, file.close)
        return response
