"""The catalogue in the admin: movies with their credits, people, collections."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from movies import search
from movies.filters import filter_movies
from movies.models import Collection, Credit, Movie, MovieQuerySet, Person
from movies.selectors import find_movies_in_use, get_added_genres
from movies.services.catalogue import movie_reindex, movies_remove, people_remove, person_reindex
from nexus.core.admin import format_number
from nexus.core.genres import GENRE_NAMES, sort_genres

IMDB_ID = re.compile(r"\Att[0-9]{7,10}\Z")
MAX_KEYWORDS = 100


class KeywordsField(forms.CharField):
    """A list of words or phrases in lower case, one a line."""

    widget = forms.Textarea(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:  # type: ignore[override]
        lines = [line.strip().lower() for line in super().clean(value).splitlines()]
        keywords = list(dict.fromkeys(filter(None, lines)))
        if len(keywords) > MAX_KEYWORDS:
            message = f"{len(keywords)} keywords are too many. Enter at most {MAX_KEYWORDS}."
            raise forms.ValidationError(message, code="too_many")
        return keywords

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial or []).split() != (data or "").split())


def _list_genre_choices() -> list[tuple[str, str]]:
    """Return TMDb's genres, with those it has added: saving a movie must not drop one."""
    return [(name, name) for name in [*GENRE_NAMES, *get_added_genres()]]


class MovieForm(forms.ModelForm):
    imdb_id = forms.RegexField(
        IMDB_ID, required=False, empty_value=None, help_text="As in tt0133093."
    )
    genres = forms.MultipleChoiceField(
        choices=_list_genre_choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    keywords = KeywordsField(required=False, max_length=10_000, help_text="One a line.")

    class Meta:
        model = Movie
        fields = (
            "title",
            "original_title",
            "tmdb_id",
            "imdb_id",
            "source",
            "release_date",
            "release_year",
            "genres",
            "keywords",
            "runtime",
            "original_language",
            "collection",
            "status",
            "tagline",
            "overview",
            "poster_path",
            "backdrop_path",
            "vote_average",
            "vote_count",
            "popularity",
        )
        help_texts = {
            "source": "An import from a source of less authority only fills empty fields. No import "
            "overwrites a movie that was entered by hand.",
            "release_year": "Set from the release date if there is one.",
        }

    def clean_genres(self) -> list[str]:
        return sort_genres(self.cleaned_data["genres"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if release_date := cleaned.get("release_date"):
            cleaned["release_year"] = release_date.year
        return cleaned


class CreditInline(admin.TabularInline):
    model = Credit
    fields = ("role", "position", "person", "character")
    raw_id_fields = ("person",)
    extra = 0


@admin.register(Movie)
class MovieAdmin(admin.ModelAdmin):
    form = MovieForm
    inlines = (CreditInline,)
    list_display = (
        *("title", "release_year", "genre_names", "rounded_weighted_rating"),
        *("rounded_average_score", "rating_count", "source"),
    )
    list_filter = ("source",)
    # Shows the search box; get_search_results does the search.
    search_fields = ("title",)
    search_help_text = "Words of the title (the last may be a prefix), or an IMDb id."
    raw_id_fields = ("collection",)
    readonly_fields = (
        "rating_count",
        "rounded_average_score",
        "rounded_weighted_rating",
        "synced_at",
        "created_at",
        "updated_at",
    )
    ordering = ("-id",)
    show_full_result_count = False

    @admin.display(description="genres")
    def genre_names(self, movie: Movie) -> str:
        return ", ".join(movie.genres) or "-"

    @admin.display(description="stars", ordering="average_score")
    def rounded_average_score(self, movie: Movie) -> str:
        return format_number(movie.average_score)

    @admin.display(description="weighted rating", ordering="weighted_rating")
    def rounded_weighted_rating(self, movie: Movie) -> str:
        return format_number(movie.weighted_rating)

    def view_on_site(self, obj: Movie) -> str:
        return reverse("movie-detail", args=[obj.pk])

    def get_exclude(self, request: HttpRequest, obj: Movie | None = None) -> tuple[str, ...]:
        # A movie added here has the model's default source, "entered by hand".
        return ("source",) if obj is None else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Movie], search_term: str
    ) -> tuple[QuerySet[Movie], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if IMDB_ID.match(term):
            return queryset.filter(imdb_id=term), False
        if search.build_tsquery(term) is None or not isinstance(queryset, MovieQuerySet):
            return queryset.none(), False
        return filter_movies(queryset, {"title": term}), False

    def has_delete_permission(self, request: HttpRequest, obj: Movie | None = None) -> bool:
        """Refuse for movies that ratings or lists refer to, whose counts would become wrong."""
        if obj is not None and find_movies_in_use([obj.pk]):
            return False
        return super().has_delete_permission(request, obj)

    def save_model(
        self, request: HttpRequest, obj: Movie, form: forms.ModelForm, change: bool
    ) -> None:
        # Only the form's fields, so that ratings made meanwhile are not overwritten.
        obj.save(update_fields=[*form.cleaned_data, "updated_at"] if change else None)

    def save_related(
        self, request: HttpRequest, form: forms.ModelForm, formsets: Any, change: bool
    ) -> None:
        super().save_related(request, form, formsets, change)
        movie_reindex(movie=form.instance)

    def delete_model(self, request: HttpRequest, obj: Movie) -> None:
        movies_remove(movie_ids=[obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Movie]) -> None:
        movies_remove(movie_ids=queryset.values_list("id", flat=True))


@admin.register(Person)
class PersonAdmin(admin.ModelAdmin):
    list_display = ("name", "tmdb_id")
    readonly_fields = ("popularity",)
    search_fields = ("name", "folded_name")
    ordering = ("-id",)
    show_full_result_count = False

    def save_model(
        self, request: HttpRequest, obj: Person, form: forms.ModelForm, change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        person_reindex(person=obj)

    def delete_model(self, request: HttpRequest, obj: Person) -> None:
        people_remove(person_ids=[obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Person]) -> None:
        people_remove(person_ids=queryset.values_list("id", flat=True))


@admin.register(Collection)
class CollectionAdmin(admin.ModelAdmin):
    list_display = ("name", "tmdb_id")
    search_fields = ("name",)
    ordering = ("-id",)
    show_full_result_count = False
