"""The catalogue: movies, people and their credits, and collections."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Cast, NullIf
from django.db.models.lookups import Exact
from django.utils import timezone

from movies.dto import (
    FIRST_OWN_COLLECTION_ID,
    FIRST_YEAR,
    LAST_YEAR,
    MAX_COUNT,
    MAX_POPULARITY,
    MAX_RUNTIME_MIN,
)
from movies.search import SEARCH_TOKENS, build_search_vector, make_sort_title
from movies.weighted_rating import PRIOR_MEAN, PRIOR_VOTES
from nexus.core.text import fold

# TMDb's terms allow its data to be stored for six months without a refresh.
MAX_AGE = timedelta(days=180)

MAX_FOLDED_NAME_LENGTH = 600

#: Large columns that only a movie's detail or its search needs. Lists do not read them.
DETAIL_COLUMNS = ("overview", "tagline", "keywords", "search_vector")


# The columns that filters compare. An index that includes them is read without the table.
_FILTERED = (
    "genres",
    "release_year",
    "original_language",
    "vote_average",
    "vote_count",
    "runtime",
    "popularity",
)


def _list_filtered_except(column: str) -> list[str]:
    return [name for name in _FILTERED if name != column]


class Collection(models.Model):
    """A series of movies, as TMDb or the starter catalogue groups them."""

    #: Ids from movies.dto.FIRST_OWN_COLLECTION_ID on are this project's own.
    tmdb_id = models.PositiveIntegerField(unique=True)
    name = models.CharField(max_length=500)
    #: When all parts were last read from TMDb; null if never.
    synced_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return self.name

    @property
    def is_known_to_tmdb(self) -> bool:
        return self.tmdb_id < FIRST_OWN_COLLECTION_ID


class Person(models.Model):
    name = models.CharField(max_length=300)
    #: The name in lower case without accents (nexus.core.text.fold), for the filter `person`.
    folded_name = models.CharField(max_length=MAX_FOLDED_NAME_LENGTH, editable=False)
    tmdb_id = models.PositiveIntegerField(unique=True, null=True, blank=True)
    popularity = models.FloatField("TMDb's popularity", default=0.0, db_default=0.0)
    search_vector = SearchVectorField(editable=False, null=True)

    class Meta:
        verbose_name_plural = "people"
        indexes = [
            models.Index(fields=["folded_name"], name="person_folded_name"),
            models.Index(F("popularity").desc(), "id", name="person_popularity"),
            GinIndex(fields=["search_vector"], name="person_words"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(popularity__gte=0, popularity__lte=MAX_POPULARITY),
                name="person_popularity_range",
            ),
            # Without TMDb ids, people can only be distinguished by name.
            models.UniqueConstraint(
                fields=["name"], condition=Q(tmdb_id__isnull=True), name="person_name_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def fold_name(cls, name: str) -> str:
        """Return a name as `folded_name` stores it."""
        return fold(name)[:MAX_FOLDED_NAME_LENGTH]

    def set_search_fields(self) -> None:
        """Set the columns that search reads. Does not save."""
        self.folded_name = self.fold_name(self.name)
        self.search_vector = build_search_vector(title=self.name, original_title="", people=[])


class MovieQuerySet(models.QuerySet["Movie"]):
    def summaries(self) -> Self:
        """Defer the columns that no list shows."""
        return self.defer(*DETAIL_COLUMNS)

    def with_credits(self) -> Self:
        """Read credits with their people, collections and videos, in two queries for any number of movies."""
        credited = models.Prefetch("credits", Credit.objects.select_related("person"))
        joined = self.select_related("collection", "extras")
        return joined.defer("search_vector", "extras__releases").prefetch_related(credited)


class Movie(models.Model):
    class Source(models.TextChoices):
        TMDB = "tmdb", "TMDb"
        STARTER = "starter", "starter catalogue"
        MOVIELENS = "movielens", "MovieLens"
        MANUAL = "manual", "entered by hand"

    tmdb_id = models.PositiveIntegerField(unique=True, null=True, blank=True)
    imdb_id = models.CharField(max_length=12, unique=True, null=True, blank=True)
    title = models.CharField(max_length=500)
    original_title = models.CharField(max_length=500, blank=True)
    original_language = models.CharField(max_length=10, blank=True)
    release_date = models.DateField(null=True, blank=True)
    #: Some sources know the year without the date. With a date it is the date's year.
    release_year = models.PositiveSmallIntegerField(null=True, blank=True)
    genres = models.JSONField(default=list, blank=True)
    runtime = models.PositiveIntegerField("runtime in minutes", null=True, blank=True)
    overview = models.TextField(blank=True)
    tagline = models.CharField(max_length=1000, blank=True)
    status = models.CharField(max_length=50, blank=True)
    keywords = models.JSONField(default=list, blank=True)
    collection = models.ForeignKey(Collection, models.SET_NULL, null=True, blank=True)
    people = models.ManyToManyField(Person, through="Credit")
    poster_path = models.CharField(max_length=200, blank=True)
    backdrop_path = models.CharField(max_length=200, blank=True)

    vote_average = models.FloatField("TMDb's mean vote, 0 to 10", default=0.0)
    vote_count = models.PositiveIntegerField("TMDb's votes", default=0)
    popularity = models.FloatField("TMDb's popularity", default=0.0)

    # Figures of this community's ratings, written by movies.services.ratings.
    rating_count = models.PositiveIntegerField(default=0, editable=False)
    rating_sum = models.FloatField(default=0.0, editable=False)
    average_score = models.GeneratedField(
        expression=F("rating_sum") / NullIf(Cast(F("rating_count"), models.FloatField()), 0.0),
        output_field=models.FloatField(null=True),
        db_persist=True,
    )
    weighted_rating = models.GeneratedField(
        # The formula of movies.weighted_rating in SQL, over TMDb's votes and our ratings. Our scale
        # ends at 5 and TMDb's at 10, so stars count double.
        expression=(
            F("vote_average") * Cast(F("vote_count"), models.FloatField())
            + 2.0 * F("rating_sum")
            + PRIOR_MEAN * PRIOR_VOTES
        )
        / (Cast(F("vote_count"), models.FloatField()) + F("rating_count") + PRIOR_VOTES),
        output_field=models.FloatField(),
        db_persist=True,
    )
    # log2 of the exponentially decayed number of ratings (movies.services.ratings).
    trend_day = models.FloatField(null=True, editable=False)
    trend_week = models.FloatField(null=True, editable=False)

    #: The title in lower case without accents and leading article, by movies.search.make_sort_title.
    sort_title = models.CharField(max_length=600, editable=False, db_collation="C")
    search_vector = SearchVectorField(editable=False)
    source = models.CharField(max_length=10, choices=Source, default=Source.MANUAL)
    #: When the oldest of the stored data was read from the source.
    synced_at = models.DateTimeField(null=True, blank=True)
    #: Whether only an entry of a list is stored: no runtime, credits, keywords and IMDb id.
    details_missing = models.BooleanField(default=False, db_default=False, editable=False)
    #: When the source no longer had the movie. It stays in the catalogue, because ratings refer to it.
    removed_at_source = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = MovieQuerySet.as_manager()

    class Meta:
        # docs/adr/0001-indexes-of-movies.md has the query that each index is for.
        indexes = [
            GinIndex(
                OpClass("search_vector", "tsvector_ops"),
                OpClass("genres", "jsonb_path_ops"),
                OpClass("keywords", "jsonb_path_ops"),
                OpClass(SEARCH_TOKENS, "array_ops"),
                name="movie_words",
            ),
            *(
                models.Index(
                    column, "id", name=f"movie_{column}", include=_list_filtered_except(column)
                )
                for column in ("release_year", "original_language", "vote_count")
            ),
            # Read backwards, these serve the ascending orderings, whose ids are descending.
            *(
                models.Index(
                    F(column).desc(),
                    "id",
                    name=f"movie_{column}",
                    include=_list_filtered_except(column),
                )
                for column in ("popularity", "vote_average", "weighted_rating")
            ),
            *(
                models.Index(
                    F(column).desc(nulls_last=True),
                    "id",
                    name=f"movie_{column}",
                    include=_list_filtered_except(column),
                )
                for column in ("release_date", "runtime")
            ),
            models.Index(F("created_at").desc(), "id", name="movie_created_at_desc"),
            models.Index(F("rating_count").desc(), "id", name="movie_rating_count_desc"),
            models.Index("sort_title", "id", name="movie_sort_title"),
            *(
                models.Index(F(column).desc(nulls_last=True), "id", name=f"movie_{column}")
                for column in ("trend_day", "trend_week")
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(title=""), name="movie_title_not_empty"),
            models.CheckConstraint(
                condition=Exact(Func(F("genres"), function="jsonb_typeof"), Value("array"))
                & Exact(Func(F("keywords"), function="jsonb_typeof"), Value("array")),
                name="movie_lists_are_arrays",
            ),
            models.CheckConstraint(
                condition=Q(imdb_id__isnull=True) | Q(imdb_id__regex=r"^tt[0-9]{7,10}$"),
                name="movie_imdb_id_shape",
            ),
            models.CheckConstraint(
                condition=Q(tmdb_id__isnull=True) | Q(tmdb_id__gte=1), name="movie_tmdb_id_positive"
            ),
            # PostgreSQL sorts NaN above every number, so that an upper bound excludes it.
            models.CheckConstraint(
                condition=Q(vote_average__gte=0, vote_average__lte=10),
                name="movie_vote_average_range",
            ),
            models.CheckConstraint(
                condition=Q(vote_count__lte=MAX_COUNT, rating_count__lte=MAX_COUNT),
                name="movie_counts_range",
            ),
            models.CheckConstraint(
                condition=Q(popularity__gte=0, popularity__lte=MAX_POPULARITY),
                name="movie_popularity_range",
            ),
            models.CheckConstraint(
                condition=Q(
                    rating_sum__gte=F("rating_count") * 1.0, rating_sum__lte=F("rating_count") * 5.0
                ),
                name="movie_rating_sum_range",
            ),
            models.CheckConstraint(
                condition=Q(runtime__isnull=True) | Q(runtime__gte=1, runtime__lte=MAX_RUNTIME_MIN),
                name="movie_runtime_range",
            ),
            models.CheckConstraint(
                condition=Q(release_year__isnull=True)
                | Q(release_year__gte=FIRST_YEAR, release_year__lte=LAST_YEAR),
                name="movie_release_year_range",
            ),
            models.CheckConstraint(
                # IS NOT NULL too, because a check that is neither true nor false passes.
                condition=Q(release_date__isnull=True)
                | Q(release_year__isnull=False, release_date__year=F("release_year")),
                name="movie_release_year_of_date",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.release_year})" if self.release_year else self.title

    def set_search_fields(
        self, people: list[str], translated_titles: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Set the columns that search reads. Does not save.

        `people` are the names of the movie's people, `translated_titles` languages and titles.
        """
        self.sort_title = make_sort_title(self.title)
        self.search_vector = build_search_vector(
            title=self.title,
            original_title=self.original_title,
            people=people,
            translated_titles=translated_titles,
        )

    @property
    def is_stale(self) -> bool:
        return is_stale(self.source, self.synced_at)

    @property
    def is_refresh_due(self) -> bool:
        """Whether the movie should be fetched from TMDb before its detail is shown."""
        if self.source != self.Source.TMDB or self.tmdb_id is None or self.removed_at_source:
            return False
        return self.details_missing or self.is_stale


#: The columns of a movie that lists read; for `only()` across a relation.
LIST_COLUMNS = tuple(
    field.name
    for field in Movie._meta.concrete_fields
    if not field.is_relation and field.name not in DETAIL_COLUMNS
)


def is_stale(source: str, synced_at: datetime | None) -> bool:
    """Return whether data from TMDb is older than TMDb's terms allow to store it."""
    if source != Movie.Source.TMDB:
        return False
    return synced_at is None or timezone.now() - synced_at > MAX_AGE


class Credit(models.Model):
    class Role(models.TextChoices):
        DIRECTOR = "director"
        CAST = "cast"

    movie = models.ForeignKey(Movie, models.CASCADE, related_name="credits")
    person = models.ForeignKey(Person, models.CASCADE, related_name="credits")
    role = models.CharField(max_length=10, choices=Role)
    #: Billing order within the role, from 0.
    position = models.PositiveSmallIntegerField()
    character = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["role", "position"]
        constraints = [
            models.UniqueConstraint(fields=["movie", "role", "position"], name="credit_position"),
            models.UniqueConstraint(fields=["movie", "role", "person"], name="credit_person"),
        ]

    def __str__(self) -> str:
        return f"{self.person} ({self.role})"
