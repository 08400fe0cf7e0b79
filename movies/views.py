"""The catalogue over HTTP. It is read only: imports and admins write it."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from movies.filters import (
    BY_IDS,
    NEWEST_FIRST,
    ORDERINGS,
    PEOPLE_BY_POPULARITY,
    FilmographyQuery,
    MovieFilters,
    MovieListQuery,
    PeopleQuery,
    annotate_release,
    filter_movies,
    find_people,
    narrow_to_tokens,
    rank_by_ids,
    rank_movies,
)
from movies.localization import localize
from movies.models import Credit, Movie, Person
from movies.selectors import count_movies_by_genre, count_movies_by_role, read_roles
from movies.serializers import (
    SUMMARY_COLUMNS,
    FilmographyEntrySerializer,
    GenreSerializer,
    MovieSummarySerializer,
    PersonDetailSerializer,
    PersonSerializer,
)
from nexus.core.api.pagination import paginate
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import NO_STORE, PUBLIC, ApiViewSet, ListOf, PageOf, contract
from nexus.core.db.bounded_page import MAX_LIST_DEPTH, count_up_to
from nexus.core.languages import DEFAULT_LANGUAGE, LanguageTag, parse_language_tag


class TopRatedQuery(MovieFilters, PageQuery):
    """The catalogue's filters and the page."""


# A cursor holds the values of the columns that order the list. These are not shown.
_CURSOR_COLUMNS = ("created_at", "sort_title")


def list_movies(request: Request, query: dict[str, Any], ordering: str | None) -> Response:
    """Return the page of the movies that pass validated MovieFilters, in one of ORDERINGS.

    Without an ordering it is that of the query's `ids`, or exact titles of its `search` first.
    """
    movies = filter_movies(Movie.objects.values(*SUMMARY_COLUMNS, *_CURSOR_COLUMNS), query)
    narrowed = narrow_to_tokens(movies, query)
    count = count_up_to(narrowed, MAX_LIST_DEPTH + 1)
    if count <= MAX_LIST_DEPTH:
        movies = narrowed
    if ordering is None and "ids" in query:
        movies, order = rank_by_ids(movies, query["ids"]), BY_IDS
    elif ordering is None or ordering.endswith("relevance"):
        by_words = ordering is not None
        language = query["language"].language if "language" in query else None
        movies, order = rank_movies(
            movies, query["search"], count, by_words=by_words, language=language
        )
    else:
        order = ORDERINGS[ordering]
    return paginate(request, query, movies, order, serialize_movies, count=count)


def serialize_movies(movies: list[Any]) -> Any:
    """Return movies, or rows of SUMMARY_COLUMNS, as MovieSummary."""
    return MovieSummarySerializer(movies, many=True).data


class LocalizedViewSet(ApiViewSet):
    """The base of every view that shows movies: in the language of the request."""

    @property
    def language(self) -> LanguageTag:
        """The language that the request asks for, else for responses about the caller the profile's."""
        if "language" in self.query:
            tag: LanguageTag = self.query["language"]
            return tag
        if self.cache_control == NO_STORE:
            return (
                parse_language_tag(getattr(self.request.user, "language", "")) or DEFAULT_LANGUAGE
            )
        return DEFAULT_LANGUAGE

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        contract = self.contract
        if contract is not None and contract.is_localized and response.status_code < 300:
            response["Content-Language"] = localize(response.data, self.language)
        return super().finalize_response(request, response, *args, **kwargs)


class MovieViewSet(LocalizedViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC
    queryset = Movie.objects.all()

    @contract(query=MovieListQuery, responses={200: PageOf(MovieSummarySerializer)})
    def list(self, request: Request) -> Response:
        """List and search movies.

        A movie must pass all filters. `search` finds words of title, original title and people.
        """
        return list_movies(request, self.query, self.query.get("ordering"))

    @contract(query=TopRatedQuery, responses={200: PageOf(MovieSummarySerializer)})
    def top_rated(self, request: Request) -> Response:
        """List movies by weighted rating, the best first.

        The weighted rating is the Bayesian mean of TMDb's votes and this community's ratings, so
        that a movie with few high votes does not come before one that thousands liked.
        """
        return list_movies(request, self.query, "-weighted_rating")


class GenreViewSet(LocalizedViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(responses={200: ListOf(GenreSerializer)})
    def list(self, request: Request) -> Response:
        """List TMDb's genres with their numbers of movies."""
        return Response(GenreSerializer(count_movies_by_genre(), many=True).data)


class PersonViewSet(LocalizedViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(query=PeopleQuery, responses={200: PageOf(PersonSerializer)})
    def list(self, request: Request) -> Response:
        """List and search people, those most popular at TMDb first."""
        people, ordering = Person.objects.defer("search_vector"), PEOPLE_BY_POPULARITY
        if "search" in self.query:
            people, ordering = find_people(people, self.query["search"])
        return paginate(request, self.query, people, ordering, _serialize_people)

    @contract(responses={200: PersonDetailSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Get a person with the number of their movies in each role."""
        person = get_object_or_404(Person.objects.defer("search_vector"), pk=pk)
        return Response(
            {**PersonSerializer(person).data, "movie_counts": count_movies_by_role(person)}
        )

    @contract(query=FilmographyQuery, responses={200: PageOf(FilmographyEntrySerializer)})
    def movies(self, request: Request, pk: int) -> Response:
        """List the movies of a person with their roles in each, newest first.

        Movies without any date come last.
        """
        person = get_object_or_404(Person.objects.only("id"), pk=pk)
        credited = Credit.objects.filter(person=person)
        if "role" in self.query:
            credited = credited.filter(role=self.query["role"])
        movies = annotate_release(Movie.objects.filter(id__in=credited.values("movie")))

        def serialize(rows: list[Any]) -> list[dict[str, Any]]:
            roles = read_roles(person.pk, [row["id"] for row in rows])
            return [
                {"movie": movie, "roles": roles[movie["id"]]} for movie in serialize_movies(rows)
            ]

        movies = movies.values(*SUMMARY_COLUMNS, "released")
        return paginate(request, self.query, movies, NEWEST_FIRST, serialize)


def _serialize_people(rows: list[Any]) -> Any:
    return PersonSerializer(rows, many=True).data
