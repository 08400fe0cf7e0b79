"""The catalogue's query parameters, and what they do to a queryset."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchRank
from django.db.models import Case, F, FloatField, Q, Value, When
from django.db.models.fields.json import DataContains
from django.db.models.functions import Cast
from rest_framework import serializers

from movies import search
from movies.dto import FIRST_YEAR, LAST_YEAR, MAX_COUNT, MAX_RUNTIME_MIN, MAX_TMDB_ID
from movies.models import (
    IN_SAMPLE,
    SAMPLE_COLUMNS,
    SAMPLE_EVERY,
    Credit,
    Movie,
    MovieQuerySet,
)
from movies.search_tokens import narrowing, ranging
from nexus.core.api.fields import IdField, StrictFloatField, StrictIntegerField
from nexus.core.api.query_params import PageQuery, QuerySerializer
from nexus.core.db.bounded_page import Found, Key, Ordering, Sample
from nexus.core.genres import GENRE_NAMES, find_genre
from nexus.core.text import fold

MAX_VALUES = 100

# Nulls stand last in both directions. Where a column has none, ascending is descending read
# backwards, ids included, so that one index serves both.
ORDERINGS: dict[str, Ordering] = {
    **{
        f"-{name}": Ordering((Key(name, descending=True), Key("id")))
        for name in ("popularity", "vote_average", "weighted_rating", "created_at")
    },
    **{
        name: Ordering((Key(name), Key("id", descending=True)))
        for name in ("popularity", "vote_average", "weighted_rating", "created_at")
    },
    **{
        sign + name: Ordering((Key(name, descending=bool(sign), nullable=True), Key("id")))
        for name in ("release_date", "runtime")
        for sign in ("", "-")
    },
    "title": Ordering((Key("sort_title"), Key("id"))),
    "-title": Ordering((Key("sort_title", descending=True), Key("id", descending=True))),
    # The best match first, whichever way it is written.
    "relevance": Ordering((Key("rank", descending=True), Key("popularity", True), Key("id"))),
    "-relevance": Ordering((Key("rank", descending=True), Key("popularity", True), Key("id"))),
}
DEFAULT_ORDERING = "-popularity"
SAMPLE = Sample(IN_SAMPLE, SAMPLE_EVERY, SAMPLE_COLUMNS)
ORDERING_NAMES = tuple(sorted(ORDERINGS, key=lambda name: (name.lstrip("-"), name)))


def validate_has_word(text: str) -> None:
    if search.build_tsquery(text) is None:
        raise serializers.ValidationError("There is no word in this to search for.")


def is_person(text: str) -> None:
    if text.isdigit():
        IdField().run_validation(text)


class GenreListField(serializers.ListField):
    """Genre expressions: `,` all of, `|` any of; each repetition is one more condition."""

    child = serializers.CharField(max_length=400)

    def to_internal_value(self, data: Any) -> list[tuple[str, list[str]]]:  # type: ignore[override]
        expressions = []
        for text in super().to_internal_value(data):
            if "," in text and "|" in text:
                message = "Use either `,` (all of) or `|` (any of) in one value; repeat for more."
                raise serializers.ValidationError(message)
            joiner = "|" if "|" in text else ","
            names = []
            for part in text.split(joiner):
                name = find_genre(part)
                if name is None:
                    known = ", ".join(GENRE_NAMES)
                    message = f"Unknown genre {part.strip()!r}. Genres: {known}."
                    raise serializers.ValidationError(message)
                names.append(name)
            expressions.append((joiner, names))
        return expressions


class MovieFilters(QuerySerializer):
    """What narrows the catalogue, wherever films are listed."""

    repeatable = frozenset({"genre", "exclude_genre"})

    search = serializers.CharField(
        required=False,
        max_length=200,
        validators=[validate_has_word],
        help_text="Words of title, original title and people; accents and case do not count; "
        "the last word may be a prefix.",
    )
    title = serializers.CharField(
        required=False,
        max_length=200,
        validators=[validate_has_word],
        help_text="Words of the title alone, as in `search`.",
    )
    genre = GenreListField(
        required=False,
        max_length=MAX_VALUES,
        help_text="Names or TMDb ids: `Drama,Crime` is both, `Drama|Crime` either; repeatable.",
    )
    exclude_genre = GenreListField(
        required=False, max_length=MAX_VALUES, help_text="None of these genres; repeatable."
    )
    year = StrictIntegerField(required=False, min_value=FIRST_YEAR, max_value=LAST_YEAR)
    year_gte = StrictIntegerField(required=False, min_value=FIRST_YEAR, max_value=LAST_YEAR)
    year_lte = StrictIntegerField(required=False, min_value=FIRST_YEAR, max_value=LAST_YEAR)
    min_rating = StrictFloatField(
        required=False, min_value=0, max_value=10, help_text="TMDb's vote_average, 0 to 10."
    )
    max_rating = StrictFloatField(required=False, min_value=0, max_value=10)
    min_votes = StrictIntegerField(required=False, min_value=0, max_value=MAX_COUNT)
    min_popularity = StrictFloatField(required=False, min_value=0)
    min_runtime = StrictIntegerField(
        required=False, min_value=0, max_value=MAX_RUNTIME_MIN, help_text="Minutes."
    )
    max_runtime = StrictIntegerField(
        required=False, min_value=0, max_value=MAX_RUNTIME_MIN, help_text="Minutes."
    )
    language = serializers.RegexField(
        r"\A[A-Za-z]{2,3}\Z", required=False, help_text="ISO 639-1 code of the original language."
    )
    person = serializers.CharField(
        required=False,
        max_length=300,
        validators=[is_person],
        help_text="Id or full name; accents and case do not count.",
    )
    keyword = serializers.CharField(required=False, max_length=200, help_text="One whole keyword.")
    tmdb_id = StrictIntegerField(required=False, min_value=1, max_value=MAX_TMDB_ID)
    imdb_id = serializers.RegexField(r"\Att[0-9]{7,10}\Z", required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        for low, high in (
            ("year_gte", "year_lte"),
            ("min_rating", "max_rating"),
            ("min_runtime", "max_runtime"),
        ):
            if low in attrs and high in attrs and attrs[low] > attrs[high]:
                message = f"{low} is above {high}: nothing can match."
                raise serializers.ValidationError({low: [message]})
        return attrs


class MovieListQuery(MovieFilters, PageQuery):
    """The catalogue's filters, its order and the page."""

    ordering = serializers.ChoiceField(choices=ORDERING_NAMES, default=DEFAULT_ORDERING)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs["ordering"].endswith("relevance") and "search" not in attrs:
            raise serializers.ValidationError({"ordering": ["relevance goes with search."]})
        return attrs


def filter_movies(movies: MovieQuerySet, params: dict[str, Any]) -> MovieQuerySet:
    """The films that pass validated MovieFilters."""
    wanted = {name for joiner, names in params.get("genre", ()) if joiner == "," for name in names}
    if any(wanted & set(names) for _, names in params.get("exclude_genre", ())):
        return movies.none()
    return movies.filter(_in_index_of_words(params) & _others(params))


def bounded(ordering: Ordering, movies: MovieQuerySet, params: dict[str, Any]) -> Ordering:
    """The same order, that knows what validated MovieFilters say of the list of these films."""
    column = ordering.keys[0].name
    bound = Q()
    for name, lookup in _LOOKUPS.items():
        if name not in params:
            continue
        if lookup.split("__")[0] == column:
            bound &= Q(**{lookup: params[name]})
        elif column == "release_date" and lookup.startswith("release_year"):
            # A constraint has it that date and year agree.
            if not lookup.endswith("lte"):
                bound &= Q(release_date__gte=date(params[name], 1, 1))
            if not lookup.endswith("gte"):
                bound &= Q(release_date__lte=date(params[name], 12, 31))
    if {"tmdb_id", "imdb_id"} & set(params):
        # Of a film that is named by an id nothing needs to be told beforehand.
        return replace(ordering, bound=bound)
    return replace(ordering, bound=bound, sample=SAMPLE, found=_found(movies, params))


def _found(movies: MovieQuerySet, params: dict[str, Any]) -> Found | None:
    """How films are found by words, keywords or several genres at once, and by facets beside them."""
    genres = sum(len(names) for joiner, names in params.get("genre", ()) if joiner == ",")
    if genres < 2 and not {"search", "title", "keyword"} & set(params):
        return None
    if "person" in params:
        return None  # whose films are fewer
    by_index = _in_index_of_words(params) & narrowing(params)
    return Found(Movie.objects.filter(by_index), movies.filter(_others(params)), ranging)


def by_relevance(ordering: Ordering, text: str) -> Ordering:
    """The order of what `ranked` returns: the best match first.

    Of words that more than 10,000 films have, only the very title makes one a better match, and
    popularity orders the others: to rank them all would take as long as the table is large.
    """
    title = Q(sort_title=search.make_sort_title(text))
    return replace(ordering, split=((title, 1.0), (~title, 0.0)))


def annotate_rank(movies: MovieQuerySet, text: str) -> MovieQuerySet:
    """With `rank`: how well a film matches the words; its very title comes before all else."""
    rank = SearchRank(
        F("search_vector"),
        _Literal(search.build_ranking_tsquery(text)),
        weights=[0.1, 0.3, 0.8, 1.0],
    )
    exact = Case(When(sort_title=search.make_sort_title(text), then=Value(1.0)), default=Value(0.0))
    return movies.annotate(rank=Cast(rank, FloatField()) + exact)


_LOOKUPS = {
    "year": "release_year",
    "year_gte": "release_year__gte",
    "year_lte": "release_year__lte",
    "min_rating": "vote_average__gte",
    "max_rating": "vote_average__lte",
    "min_votes": "vote_count__gte",
    "min_popularity": "popularity__gte",
    "min_runtime": "runtime__gte",
    "max_runtime": "runtime__lte",
    "tmdb_id": "tmdb_id",
    "imdb_id": "imdb_id",
}


def _genres(joiner: str, names: list[str]) -> Q:
    # All of several in one, because the planner knows which genres go together.
    if joiner == ",":
        return Q(_HasGenres(F("genres"), names))
    condition = Q()
    for name in names:
        condition |= Q(_HasGenres(F("genres"), [name]))
    return condition


def _in_index_of_words(params: dict[str, Any]) -> Q:
    """The conditions that the index of words has whole."""
    conditions = Q()
    for joiner, names in params.get("genre", ()):
        conditions &= _genres(joiner, names)
    if "keyword" in params:
        conditions &= Q(keywords__contains=[params["keyword"].strip().lower()])
    if "search" in params:
        conditions &= Q(search_vector=_tsquery(params["search"]))
    if "title" in params:
        conditions &= Q(search_vector=_tsquery(params["title"], weights=search.TITLE))
    return conditions


def _others(params: dict[str, Any]) -> Q:
    """All other conditions."""
    conditions = Q()
    for name, lookup in _LOOKUPS.items():
        if name in params:
            conditions &= Q(**{lookup: params[name]})
    for _, names in params.get("exclude_genre", ()):
        # Both joiners read "none of these" here.
        conditions &= ~_genres("|", names)
    if "language" in params:
        conditions &= Q(original_language=params["language"].lower())
    if "person" in params:
        conditions &= Q(id__in=_films_of(params["person"]))
    return conditions


class _HasGenres(DataContains):
    """`contains`, with the genres written out: they are few, and known (GENRE_NAMES), so that a
    statement's plan may be kept for each of them."""

    prepare_rhs = False

    def process_rhs(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return f"'{json.dumps(self.rhs)}'::jsonb", []


class _Literal(SearchQuery):
    """A tsquery as it is written out: to_tsquery would read signs in its words as spaces."""

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: Any, function: Any = None, template: Any = None
    ) -> tuple[str, list[Any]]:
        sql, params = super().as_sql(compiler, connection, None, "%(expressions)s::tsquery")
        return sql, list(params)


def _tsquery(text: str, *, weights: str = "") -> SearchQuery:
    query = search.build_tsquery(text, weights=weights)
    assert query is not None  # validate_has_word has seen to it
    return _Literal(query)


def _films_of(person: str) -> Any:
    whose: dict[str, str | int] = {"person__folded_name": fold(person.strip())}
    if person.isascii() and person.isdigit():
        whose = {"person_id": int(person)}
    return Credit.objects.filter(**whose).values("movie_id")
