"""Imports as clients send and see them."""

from __future__ import annotations

from typing import Any

from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.serializers import MovieSummarySerializer
from nexus.core.api.fields import IdField, UTCDateTimeField
from nexus.core.api.query_params import PageQuery
from social.models import Import, ImportRow
from social.transfer.formats.detection import Format
from social.transfer.formats.records import Kind
from social.transfer.services import MAX_FILE_BYTES

VERDICTS = [verdict for verdict in ImportRow.Verdict.values if verdict != "pending"]
OUTCOMES = ImportRow.Outcome.values
_MEGABYTES = MAX_FILE_BYTES // 1024**2


class ImportRowsQuery(PageQuery):
    """Which of an import's rows, and the page of them."""

    verdict = serializers.ChoiceField(choices=VERDICTS, required=False)


class ImportUploadSerializer(serializers.Serializer[Any]):
    """A file to import, as multipart/form-data."""

    file = serializers.FileField(
        max_length=1000, allow_empty_file=True, help_text=f"At most {_MEGABYTES} MiB."
    )


class ImportApplySerializer(serializers.Serializer[Any]):
    """How an import is to be applied."""

    on_conflict = serializers.ChoiceField(
        choices=Import.OnConflict.values,
        required=False,
        help_text=(
            "What stands where the member has said something else of a film: the newer by date"
            " (at first so), what they have (keep), or what the file has (replace)."
        ),
    )

    class Meta:
        swagger_schema_fields = {"example": {"on_conflict": "newer"}}


class ImportRowEditSerializer(serializers.Serializer[Any]):
    """A correction of a row: the film it means, or whether it is left out."""

    movie = IdField(required=False, help_text="A candidate's id, or any other film's.")
    skip = serializers.BooleanField(required=False)

    class Meta:
        swagger_schema_fields = {"example": {"movie": 1}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError({"movie": ["Send either movie or skip."]})
        return attrs


class ImportProgressSerializer(serializers.Serializer[Any]):
    step = serializers.ChoiceField(
        choices=Import.Step.values, help_text="Empty where nothing is being done."
    )
    done = serializers.IntegerField(source="position", help_text="Rows of this step.")
    total = serializers.IntegerField(help_text="0 until the file is read.")


class ImportSerializer(serializers.Serializer[Any]):
    """An import and how far it is."""

    id = serializers.IntegerField()
    filename = serializers.CharField()
    format = serializers.ChoiceField(choices=list(Format))
    state = serializers.ChoiceField(choices=Import.State.values)
    on_conflict = serializers.ChoiceField(choices=Import.OnConflict.values)
    progress = ImportProgressSerializer(source="*")
    reason = serializers.CharField(help_text="Why it failed.")
    created_at = UTCDateTimeField()
    applied_at = UTCDateTimeField(allow_null=True)
    undone_at = UTCDateTimeField(allow_null=True)


class RowMovieSerializer(MovieSummarySerializer):
    """A MovieSummary where there is one: a definition of its own, as only this one may be null."""

    class Meta(MovieSummarySerializer.Meta):
        ref_name = "RowMovie"


class ImportRowSerializer(serializers.Serializer[Any]):
    """A row, its verdict and what was done with it; wants the context's `films` by id."""

    number = serializers.IntegerField()
    file = serializers.CharField(help_text="Of an archive, the file in it.")
    line = serializers.IntegerField(help_text="The line, or the element of a JSON array.")
    kind = serializers.ChoiceField(choices=["", *Kind], help_text="Empty where it is invalid.")
    title = serializers.CharField()
    year = serializers.IntegerField(allow_null=True)
    score = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()
    at = serializers.SerializerMethodField()
    verdict = serializers.ChoiceField(choices=ImportRow.Verdict.values)
    code = serializers.CharField(help_text="Why, as one word: conflict, not_in_catalogue, …")
    reason = serializers.CharField(help_text="Why, as a sentence.")
    movie = serializers.SerializerMethodField()
    candidates = serializers.SerializerMethodField()
    chosen = serializers.BooleanField(help_text="Whether the member said which film.")
    outcome = serializers.ChoiceField(choices=OUTCOMES, help_text="Empty until it is applied.")

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
        found = next((row.values[name] for name in names if row.values.get(name)), None)
        return found and found.replace("+00:00", "Z")

    @swagger_serializer_method(RowMovieSerializer(allow_null=True))
    def get_movie(self, row: ImportRow) -> Any:
        film = self.context["films"].get(row.movie_id)
        return None if film is None else RowMovieSerializer(film).data

    @swagger_serializer_method(MovieSummarySerializer(many=True))
    def get_candidates(self, row: ImportRow) -> Any:
        films = [self.context["films"].get(each) for each in row.candidates]
        return MovieSummarySerializer([film for film in films if film], many=True).data


class ImportRowPageSerializer(serializers.Serializer[Any]):
    """A page of rows, in the envelope of all lists."""

    count = serializers.IntegerField()
    count_is_lower_bound = serializers.BooleanField(required=False)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ImportRowSerializer(many=True)


def _whole_numbers(name: str, keys: list[str]) -> type[serializers.Serializer[Any]]:
    fields = {key: serializers.IntegerField() for key in keys}
    return type(name, (serializers.Serializer,), fields)


ImportVerdictsSerializer = _whole_numbers("ImportVerdictsSerializer", VERDICTS)
ImportOutcomesSerializer = _whole_numbers(
    "ImportOutcomesSerializer", [outcome for outcome in OUTCOMES if outcome]
)


class ImportDetailSerializer(ImportSerializer):
    """An import with its rows and how many of each kind there are."""

    verdicts = ImportVerdictsSerializer(help_text="Rows by verdict.")
    outcomes = ImportOutcomesSerializer(help_text="Rows by what was done with them.")
    rows = ImportRowPageSerializer()
