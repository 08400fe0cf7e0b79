"""Request bodies, query parameters and responses of imports."""

from __future__ import annotations

from typing import Any

from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.serializers import MovieSummarySerializer
from nexus.core.api.fields import IdField, UTCDateTimeField
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import PageOf
from social.models import Export, Import, ImportRow
from social.transfer.formats.detection import FileFormat
from social.transfer.formats.records import RecordKind
from social.transfer.services import MAX_FILE_BYTES

VERDICTS = [verdict for verdict in ImportRow.Verdict.values if verdict != "pending"]
OUTCOMES = ImportRow.Outcome.values
_MEGABYTES = MAX_FILE_BYTES // 1024**2


class ImportRowsQuery(PageQuery):
    """Filter and page of an import's rows."""

    verdict = serializers.ChoiceField(
        choices=VERDICTS, required=False, help_text="Only rows with this verdict."
    )


class ExportSerializer(serializers.ModelSerializer[Export]):
    """An export that is being prepared."""

    requested_at = UTCDateTimeField(help_text="When the caller requested it.")

    class Meta:
        model = Export
        fields = ["requested_at"]


class ImportUploadSerializer(serializers.Serializer[Any]):
    """A file to import, as multipart/form-data."""

    file = serializers.FileField(
        max_length=1000, allow_empty_file=True, help_text=f"At most {_MEGABYTES} MiB."
    )


class ImportApplySerializer(serializers.Serializer[Any]):
    """How to apply an import."""

    on_conflict = serializers.ChoiceField(
        choices=Import.OnConflict.values,
        required=False,
        help_text=(
            "Which rating or review stays if you have one already and the file has another: the"
            " newer of both (`newer`, the default), yours (`keep`) or the file's (`replace`)."
        ),
    )

    class Meta:
        swagger_schema_fields = {"example": {"on_conflict": "newer"}}


class ImportRowEditSerializer(serializers.Serializer[Any]):
    """A correction of a row: its movie, or whether it is skipped."""

    movie = IdField(required=False, help_text="The id of a candidate or of any other movie.")
    skip = serializers.BooleanField(
        required=False, help_text="true skips the row, false includes it again."
    )

    class Meta:
        swagger_schema_fields = {"example": {"movie": 1}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError({"movie": ["Send either movie or skip."]})
        return attrs


class ImportProgressSerializer(serializers.Serializer[Any]):
    step = serializers.ChoiceField(
        choices=Import.Step.values, help_text="The running or waiting step; empty if there is none."
    )
    done = serializers.IntegerField(source="position", help_text="Rows the step has processed.")
    total = serializers.IntegerField(help_text="Rows of the import; 0 until the file is read.")


class ImportSerializer(serializers.Serializer[Any]):
    """An import and its progress."""

    id = serializers.IntegerField()
    filename = serializers.CharField()
    format = serializers.ChoiceField(choices=list(FileFormat))
    state = serializers.ChoiceField(choices=Import.State.values)
    on_conflict = serializers.ChoiceField(choices=Import.OnConflict.values)
    progress = ImportProgressSerializer(source="*")
    reason = serializers.CharField(help_text="Why the import failed; empty if it did not.")
    created_at = UTCDateTimeField()
    applied_at = UTCDateTimeField(allow_null=True)
    undone_at = UTCDateTimeField(allow_null=True)


class RowMovieSerializer(MovieSummarySerializer):
    """The movie of a row.

    A class of its own, because in the Swagger 2.0 schema only this one may be null.
    """

    class Meta(MovieSummarySerializer.Meta):
        ref_name = "RowMovie"


class ImportRowSerializer(serializers.Serializer[Any]):
    """A row, its verdict and its outcome.

    Requires the context `movies`, movies by id.
    """

    number = serializers.IntegerField()
    file = serializers.CharField(help_text="The name of the file, in an archive its path.")
    line = serializers.IntegerField(help_text="The line, or the number of the JSON element.")
    kind = serializers.ChoiceField(
        choices=["", *RecordKind], help_text="Empty if the row is invalid."
    )
    title = serializers.CharField()
    year = serializers.IntegerField(allow_null=True)
    score = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()
    at = serializers.SerializerMethodField()
    watched_on = serializers.SerializerMethodField(
        help_text="The day of a viewing, or of a review's; null if it is unknown."
    )
    verdict = serializers.ChoiceField(choices=ImportRow.Verdict.values)
    code = serializers.CharField(
        help_text="The reason for the verdict as a code: conflict, not_in_catalogue, …"
    )
    reason = serializers.CharField(help_text="The reason for the verdict as a sentence.")
    movie = serializers.SerializerMethodField()
    candidates = serializers.SerializerMethodField()
    chosen = serializers.BooleanField(help_text="Whether you chose the movie.")
    outcome = serializers.ChoiceField(
        choices=OUTCOMES, help_text="What applying or undoing did; empty before."
    )

    @swagger_serializer_method(serializers.FloatField(allow_null=True))
    def get_score(self, row: ImportRow) -> float | None:
        score: float | None = row.values.get("score")
        return score

    @swagger_serializer_method(serializers.CharField())
    def get_review(self, row: ImportRow) -> str:
        return row.values.get("review") or ""

    @swagger_serializer_method(UTCDateTimeField(allow_null=True))
    def get_at(self, row: ImportRow) -> str | None:
        names = ("rated_at", "watched_at", "added_at", "created_at", "since")
        date = next((row.values[name] for name in names if row.values.get(name)), None)
        return date and date.replace("+00:00", "Z")

    @swagger_serializer_method(serializers.DateField(allow_null=True))
    def get_watched_on(self, row: ImportRow) -> str | None:
        day: str | None = row.values.get("watched_on")
        return day

    @swagger_serializer_method(RowMovieSerializer(allow_null=True))
    def get_movie(self, row: ImportRow) -> Any:
        movie = self.context["movies"].get(row.movie_id)
        return None if movie is None else RowMovieSerializer(movie).data

    @swagger_serializer_method(MovieSummarySerializer(many=True))
    def get_candidates(self, row: ImportRow) -> Any:
        movies = self.context["movies"]
        candidates = [movies[movie_id] for movie_id in row.candidates if movie_id in movies]
        return MovieSummarySerializer(candidates, many=True).data


ImportRowPageSerializer = PageOf(ImportRowSerializer).get_page_serializer()


def _make_count_serializer(name: str, keys: list[str]) -> type[serializers.Serializer[Any]]:
    fields = {key: serializers.IntegerField() for key in keys}
    return type(name, (serializers.Serializer,), fields)


ImportVerdictsSerializer = _make_count_serializer("ImportVerdictsSerializer", VERDICTS)
ImportOutcomesSerializer = _make_count_serializer(
    "ImportOutcomesSerializer", [outcome for outcome in OUTCOMES if outcome]
)


class ImportLeftOutSerializer(serializers.Serializer[Any]):
    """One kind of content of the file that is not imported."""

    kind = serializers.CharField(
        help_text="What it is: tags, likes, collection, …, or the code of invalid rows and cells."
    )
    count = serializers.IntegerField(help_text="How often the file has it.")
    reason = serializers.CharField(
        help_text="Why it is left out; where the reasons differ, that of the first."
    )


class ImportDetailSerializer(ImportSerializer):
    """An import, the number of its rows by verdict and outcome, and a page of them."""

    left_out = ImportLeftOutSerializer(
        many=True, help_text="What the file has that is not imported; empty until it is read."
    )
    verdicts = ImportVerdictsSerializer(help_text="The number of rows by verdict.")
    outcomes = ImportOutcomesSerializer(help_text="The number of rows by outcome.")
    rows = ImportRowPageSerializer()
