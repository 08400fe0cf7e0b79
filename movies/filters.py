"""Query parameters of movie lists: their validation, and the querysets that they select.

`movies.views` reads the page of the queryset. `movies.search` builds the conditions on words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchQuery, SearchRank
from django.db.models import (
    BigIntegerField,
    Case,
    DateField,
    F,
    FloatField,
    Func,
    IntegerField,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThanOrEqual
from rest_framework import serializers

from movies import search
from movies.availability import MONETIZATIONS, make_offer_keys
from movies.dto import FIRST_YEAR, LAST_YEAR, MAX_COUNT, MAX_RUNTIME_MIN, MAX_TMDB_ID
from movies.fields import MonetizationListField, ProviderListField, RegionField
from movies.models import Credit, Movie, MovieQuerySet, Offers, Person
from movies.selectors import find_known_genre, get_added_genres
from nexus.core.api.fields import IdField, StrictFloatField, StrictIntegerField
from nexus.core.api.query_params import (
    MAX_FILTER_VALUES,
    MAX_IDS,
    DistinctListField,
    IdListField,
    PageQuery,
    QuerySerializer,
)
from nexus.core.db.bounded_page import MAX_LIST_DEPTH, Key, Ordering, hide_from_indexes
from nexus.core.genres import GENRE_NAMES, sort_genres
from nexus.core.text import fold


def _make_both_orderings(column: str, *, nullable: bool = False) -> dict[str, Ordering]:
    """Return both orderings by a column. Ids run with the column, so that one index serves both."""
    return {
        column: Ordering((Key(column, nullable=nullable), Key("id", descending=True))),
        f"-{column}": Ordering((Key(column, descending=True, nullable=nullable), Key("id"))),
    }


# Best match first, with and without the sign.
_BY_RELEVANCE = Ordering((Key("rank", descending=True), Key("popularity", True), Key("id")))
ORDERINGS: dict[str, Ordering] = {
    **_make_both_orderings("popularity"),
    **_make_both_orderings("vote_average"),
    **_make_both_orderings("weighted_rating"),
    **_make_both_orderings("created_at"),
    **_make_both_orderings("release_date", nullable=True),
    **_make_both_orderings("runtime", nullable=True),
    "title": Ordering((Key("sort_title"), Key("id"))),
    "-title": Ordering((Key("sort_title", descending=True), Key("id", descending=True))),
    "relevance": _BY_RELEVANCE,
    "-relevance": _BY_RELEVANCE,
}
DEFAULT_ORDERING = "-popularity"
#: The order of the ids that a query names; `rank_by_ids` annotates the place of each.
BY_IDS = Ordering((Key("place"), Key("id")))
# Credits say little of who is known: TMDb's popularity does. A whole name comes first.
PEOPLE_BY_POPULARITY = Ordering((Key("popularity", descending=True), Key("id")))
_PEOPLE_BY_RELEVANCE = Ordering((Key("rank", descending=True), *PEOPLE_BY_POPULARITY.keys))
#: Movies of a person or a series by release; `annotate_release` annotates the day.
NEWEST_FIRST = Ordering((Key("released", descending=True, nullable=True), Key("id")))
ORDERING_NAMES = tuple(sorted(ORDERINGS, key=lambda name: (name.lstrip("-"), name)))


def validate_has_word(text: str) -> None:
    if search.build_tsquery(text) is None:
        raise serializers.ValidationError("This has no word to search for.")


def validate_person(text: str) -> None:
    if text.isdigit():
        IdField().run_validation(text)


#: Genre names and how they are joined: "," is all of them, "|" is any of them.
GenreExpression = tuple[str, tuple[str, ...]]


class GenreExpressionField(serializers.CharField):
    """Names or TMDb ids of genres: `Drama,Crime` is both, `Drama|Crime` either."""

    def to_internal_value(self, data: Any) -> GenreExpression:  # type: ignore[override]
        text = super().to_internal_value(data)
        if "," in text and "|" in text:
            message = (
                "Use either `,` (all of) or `|` (any of) in one value."
                " Repeat the parameter to combine both."
            )
            raise serializers.ValidationError(message)
        joiner = "|" if "|" in text else ","
        names = set()
        for part in text.split(joiner):
            name = find_known_genre(part)
            if name is None:
                known = ", ".join([*GENRE_NAMES, *get_added_genres()])
                message = f"Unknown genre {part.strip()!r}. Use one of {known}."
                raise serializers.ValidationError(message)
            names.add(name)
        return joiner if len(names) > 1 else ",", tuple(sort_genres(names))


class GenreListField(DistinctListField):
    """Genre expressions as the shortest list with the same meaning; at most one has a comma."""

    child = GenreExpressionField()

    def to_internal_value(self, data: Any) -> list[GenreExpression]:
        return merge_genre_expressions(super().to_internal_value(data))


def merge_genre_expressions(expressions: Sequence[GenreExpression]) -> list[GenreExpression]:
    """Return the shortest list of expressions that the same movies meet."""
    required = {name for joiner, names in expressions if joiner == "," for name in names}
    choices = {frozenset(names) for joiner, names in expressions if joiner == "|"}
    merged: list[GenreExpression] = [(",", tuple(sort_genres(required)))] if required else []
    # Whoever meets a choice also meets a wider one, and a required genre meets a choice with it.
    merged += [
        ("|", tuple(sort_genres(choice)))
        for choice in sorted(choices, key=lambda names: (len(names), sorted(names)))
        if not choice & required and not any(other < choice for other in choices)
    ]
    return merged


class MovieFilters(QuerySerializer):
    """The filters of every list of movies."""

    repeatable = frozenset({"genre", "exclude_genre"})

    ids = IdListField(
        required=False,
        help_text=f"At most {MAX_IDS} ids of movies, separated by commas.",
    )
    search = serializers.CharField(
        required=False,
        max_length=200,
        validators=[validate_has_word],
        help_text="Words of title, original title, translated titles and people. Accents, case and "
        "punctuation are ignored, and numbers are found as digits: `8 1/2`, `rocky 2`. The last word "
        "may be a prefix. Movies of a year beside the words come first: `dune 1984`.",
    )
    title = serializers.CharField(
        required=False,
        max_length=200,
        validators=[validate_has_word],
        help_text="Words of the title alone, as in `search`.",
    )
    genre = GenreListField(
        required=False,
        help_text="Names or TMDb ids. `Drama,Crime` is both, `Drama|Crime` either. Repeatable, with "
        f"at most {MAX_FILTER_VALUES} different values.",
    )
    exclude_genre = GenreListField(
        required=False,
        help_text="None of these genres. Repeatable, with "
        f"at most {MAX_FILTER_VALUES} different values.",
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
    original_language = serializers.RegexField(
        r"\A[A-Za-z]{2,3}\Z", required=False, help_text="ISO 639-1 code."
    )
    person = serializers.CharField(
        required=False,
        max_length=300,
        validators=[validate_person],
        help_text="Id or full name. Accents and case are ignored.",
    )
    keyword = serializers.CharField(required=False, max_length=200, help_text="One whole keyword.")
    collection = IdField(required=False, help_text="Id of a series.")
    provider = ProviderListField(required=False)
    region = RegionField(required=False)
    monetization = MonetizationListField(required=False)
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
                message = f"{low} is above {high}, so that no movie can match. Swap or remove one."
                raise serializers.ValidationError({low: [message]})
        self.validate_offers(attrs)
        return attrs

    def validate_offers(self, attrs: dict[str, Any]) -> None:
        """Raise ValidationError unless `provider` and `region` come together."""
        if "provider" in attrs and "region" not in attrs:
            message = "Offers differ by region. Add one, such as region=DE."
            raise serializers.ValidationError({"provider": [message]})
        for name in ("region", "monetization"):
            if name in attrs and "provider" not in attrs:
                message = f"{name} restricts provider. Add provider=, such as provider=8|337."
                raise serializers.ValidationError({name: [message]})


class MovieListQuery(MovieFilters, PageQuery):
    """The filters, the ordering and the page of a list of movies."""

    ordering = serializers.ChoiceField(
        choices=ORDERING_NAMES,
        default=DEFAULT_ORDERING,
        help_text="Without it, movies named by `ids` come in the order of `ids`, and results of `search` "
        "with an exact title first.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "ordering" not in self.initial_data and not attrs.keys().isdisjoint({"ids", "search"}):
            del attrs["ordering"]
            return attrs
        if attrs["ordering"].endswith("relevance") and "search" not in attrs:
            raise serializers.ValidationError(
                {"ordering": ["relevance is an order of search results. Add search=."]}
            )
        return attrs


class PeopleQuery(PageQuery):
    search = serializers.CharField(
        required=False,
        max_length=200,
        validators=[validate_has_word],
        help_text="Words of the name. Accents and case are ignored. The last word may be a prefix, "
        "and a whole name comes first.",
    )


class FilmographyQuery(PageQuery):
    role = serializers.ChoiceField(
        choices=Credit.Role.choices, required=False, help_text="Only movies with this role."
    )


# The column and the comparison of each parameter that compares one column.
_COMPARISONS = {
    "year": ("release_year", Exact),
    "year_gte": ("release_year", GreaterThanOrEqual),
    "year_lte": ("release_year", LessThanOrEqual),
    "min_rating": ("vote_average", GreaterThanOrEqual),
    "max_rating": ("vote_average", LessThanOrEqual),
    "min_votes": ("vote_count", GreaterThanOrEqual),
    "min_popularity": ("popularity", GreaterThanOrEqual),
    "min_runtime": ("runtime", GreaterThanOrEqual),
    "max_runtime": ("runtime", LessThanOrEqual),
    "tmdb_id": ("tmdb_id", Exact),
    "imdb_id": ("imdb_id", Exact),
    "collection": ("collection_id", Exact),
}


def filter_movies(movies: MovieQuerySet, params: dict[str, Any]) -> MovieQuerySet:
    """Return the movies that pass validated MovieFilters."""
    # The tokens of the words index stand for these columns. If the columns could use their own
    # indexes too, PostgreSQL would gather half of the catalogue from them.
    column_of = hide_from_indexes if _needs_words_index(params) else F
    conditions = Q()
    for name, (column, compare) in _COMPARISONS.items():
        if name in params:
            conditions &= Q(compare(column_of(column), params[name]))
    if "ids" in params:
        conditions &= Q(id__in=params["ids"])
    conditions &= _has_genres(params.get("genre", ()))
    excluded = {name for _, names in params.get("exclude_genre", ()) for name in names}
    if excluded:
        conditions &= ~Q(genres__has_any_keys=sort_genres(excluded))
    if "original_language" in params:
        code = params["original_language"].lower()
        conditions &= Q(Exact(column_of("original_language"), code))
    if "keyword" in params:
        conditions &= Q(keywords__contains=[params["keyword"].strip().lower()])
    if "search" in params:
        conditions &= _has_words(search.split_year(params["search"])[0])
    if "title" in params:
        conditions &= _has_words(params["title"], weights=search.TITLE)
    if "person" in params:
        conditions &= Q(id__in=_find_movie_ids(params["person"]))
    if "provider" in params:
        conditions &= Q(id__in=_find_offered_ids(params))
    return movies.filter(conditions)


def narrow_to_tokens(movies: MovieQuerySet, params: dict[str, Any]) -> MovieQuerySet:
    """Return the same movies, found by their tokens in the words index.

    Only for queries that find all matching movies. A query that walks another index would compute the
    tokens of each movie on its way.
    """
    if not _needs_words_index(params):
        return movies
    return movies.filter(search.build_token_condition(params))


def rank_movies(
    movies: MovieQuerySet,
    text: str,
    count: int,
    *,
    by_words: bool = True,
    language: str | None = None,
) -> tuple[MovieQuerySet, Ordering]:
    """Annotate the movies that match a search with `rank`; return them and their ordering.

    Movies whose whole title, or its translation into a language, is the text come first, then those of the year in the text. Popularity
    orders movies of the same rank; `by_words` ranks the others by their words before. `count` is the
    number of movies, counted up to MAX_LIST_DEPTH + 1: more than can be sorted are not ranked by words.
    """
    conditions = _list_leading_conditions(text, language)
    leading = [
        When(condition, then=Value(float(len(conditions) - place)))
        for place, condition in enumerate(conditions)
    ]
    rank: Any = Case(*leading, default=Value(0.0))
    if count > MAX_LIST_DEPTH:
        ordering = replace(_BY_RELEVANCE, leading_conditions=conditions)
        return movies.annotate(rank=rank), ordering
    if by_words:
        query = LiteralSearchQuery(search.build_ranking_tsquery(search.split_year(text)[0]))
        # 32 scales the rank to less than 1.
        words_rank = SearchRank(
            F("search_vector"), query, weights=[0.1, 0.3, 0.8, 1.0], normalization=Value(32)
        )
        rank += Cast(words_rank, FloatField())
    return movies.annotate(rank=rank), _BY_RELEVANCE


def _list_leading_conditions(text: str, language: str | None) -> tuple[Q, ...]:
    """Return the conditions for movies that a search lists first, the best first."""
    words, year = search.split_year(text)
    if year is None:
        return (_has_title(text, language),)
    is_of_year = Q(release_year=year)
    has_words = _has_title(words, language)
    return _has_title(text, language) | (has_words & is_of_year), has_words, is_of_year


def _has_title(text: str, language: str | None) -> Q:
    # PostgreSQL looks up the few movies once instead of reading the words of each movie.
    query = LiteralSearchQuery(search.build_title_tsquery(text, language))
    return Q(id__in=Movie.objects.filter(search_vector=query).values("id"))


def rank_by_ids(movies: MovieQuerySet, ids: Sequence[int]) -> MovieQuerySet:
    """Annotate the movies that `ids` name with their `place` in it, for the ordering BY_IDS."""
    named = Value(list(ids), output_field=ArrayField(BigIntegerField()))
    place = Func(named, F("id"), function="array_position", output_field=IntegerField())
    return movies.annotate(place=place)


def find_people(people: QuerySet[Person], text: str) -> tuple[QuerySet[Person], Ordering]:
    """Return the people whose names contain all words of a text, and their ordering."""
    is_name = Q(folded_name=Person.fold_name(text.strip()))
    rank = Case(When(is_name, then=Value(1.0)), default=Value(0.0), output_field=FloatField())
    ranked = people.filter(_has_words(text)).annotate(rank=rank)
    return ranked, replace(_PEOPLE_BY_RELEVANCE, leading_conditions=(is_name,))


def annotate_release(movies: MovieQuerySet) -> MovieQuerySet:
    """Annotate movies with the day they were `released`.

    A movie of which only the year is known counts as released at the year's end.
    """
    end_of_year = Func(
        F("release_year"), Value(12), Value(31), function="make_date", output_field=DateField()
    )
    return movies.annotate(released=Coalesce("release_date", end_of_year))


class LiteralSearchQuery(SearchQuery):
    """A tsquery literal. to_tsquery would parse its words again and drop the mark of prefixes."""

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: Any, function: Any = None, template: Any = None
    ) -> tuple[str, list[Any]]:
        sql, params = super().as_sql(compiler, connection, None, "%(expressions)s::tsquery")
        return sql, list(params)


def _has_words(text: str, *, weights: str = "") -> Q:
    query = search.build_tsquery(text, weights=weights)
    assert query is not None  # validate_has_word has refused texts without words
    return Q(search_vector=LiteralSearchQuery(query))


def _has_genres(expressions: Sequence[GenreExpression]) -> Q:
    """Return the condition for movies that meet all of these merged expressions."""
    condition = Q()
    has_indexed = False
    for joiner, names in expressions:
        if joiner == ",":
            condition &= Q(genres__contains=list(names))
        elif has_indexed:
            # One operator a movie, but no index serves it: 20 expressions of 18 genres take 16 ms for
            # 10,000 movies instead of 51.
            condition &= Q(genres__has_any_keys=list(names))
        else:
            condition &= reduce(or_, (Q(genres__contains=[name]) for name in names))
        has_indexed = True
    return condition


def _find_movie_ids(person: str) -> QuerySet[Credit, int]:
    """Return the ids of the movies of a person, given by id or full name."""
    if person.isascii() and person.isdigit():
        return Credit.objects.filter(person_id=int(person)).values_list("movie_id", flat=True)
    return Credit.objects.filter(person__folded_name=fold(person.strip())).values_list(
        "movie_id", flat=True
    )


def _find_offered_ids(params: dict[str, Any]) -> QuerySet[Offers, int]:
    """Return the ids of the movies that one of the providers offers in the region."""
    monetizations = params.get("monetization", MONETIZATIONS)
    keys = make_offer_keys(params["region"], params["provider"], monetizations)
    return Offers.objects.with_any(keys).values_list("movie_id", flat=True)


def _needs_words_index(params: dict[str, Any]) -> bool:
    """Return whether words, a keyword or several genres find the movies best.

    Ids, a person or a series find fewer.
    """
    if not params.keys().isdisjoint({"ids", "person", "collection", "tmdb_id", "imdb_id"}):
        return False
    genres = sum(len(names) for joiner, names in params.get("genre", ()) if joiner == ",")
    return genres > 1 or not params.keys().isdisjoint({"search", "title", "keyword"})
