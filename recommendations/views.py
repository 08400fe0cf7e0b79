"""The match score, the personal feed and similar movies over HTTP."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movies.filters import filter_movies
from movies.localization import MoviePayload
from movies.models import Movie
from movies.serializers import movie_summary_payload
from movies.views import LocalizedViewSet
from nexus.core.api.exceptions import Problem
from nexus.core.api.pagination import paginate, paginate_list
from nexus.core.api.query_params import DEFAULT_PAGE_SIZE, PageQuery
from nexus.core.api.views import NO_STORE, PUBLIC, ApiViewSet, ListOf, PageOf, contract
from recommendations.filters import (
    NEWEST_FEEDBACK_FIRST,
    FeedQuery,
    GroupFeedQuery,
    MovieDetailQuery,
    MovieStatesQuery,
    SimilarQuery,
    add_group_services,
    add_own_services,
)
from recommendations.models import Feedback
from recommendations.recommender.feed import build_feed
from recommendations.recommender.group import GroupRecommendation, recommend_to_group
from recommendations.recommender.match_score import compute_matches
from recommendations.recommender.onboarding import choose_onboarding_movies
from recommendations.recommender.similar import find_similar
from recommendations.selectors import get_movie_states
from recommendations.serializers import (
    FeedbackSerializer,
    FeedbackWriteSerializer,
    GroupRecommendationSerializer,
    MatchScoreSerializer,
    MovieDetailSerializer,
    MovieStateSerializer,
    OnboardingSerializer,
    RecommendationSerializer,
    SimilarSerializer,
)
from recommendations.services import feedback_delete, feedback_set
from social.models.groups import MIN_GROUP_MEMBERS
from social.selectors.groups import can_see_all, get_group, read_votes
from social.views.ratings import list_reviews
from tmdb.client.errors import TmdbError
from tmdb.views import MovieDetailViewSet, choose_region, describe_offers, list_videos

#: The page that `append` adds.
FIRST_PAGE = {"page_size": DEFAULT_PAGE_SIZE}
#: The keys of a group's recommendations beside their page.
GROUP_KEYS: dict[str, serializers.Field[Any, Any, Any, Any]] = {
    "strategy": serializers.ChoiceField(
        choices=("personalized", "cold_start"),
        help_text="`personalized` if any member has rated a movie, else `cold_start`.",
    ),
    "algorithm": serializers.CharField(),
    "members_without_ratings": serializers.ListField(
        child=serializers.CharField(),
        help_text="Members who are scored by popularity and favorite genres alone.",
    ),
}
#: The keys of the feed beside its page.
FEED_KEYS: dict[str, serializers.Field[Any, Any, Any, Any]] = {
    "strategy": serializers.ChoiceField(
        choices=("personalized", "cold_start"),
        help_text="`personalized` from the first rating on, `cold_start` before.",
    ),
    "algorithm": serializers.CharField(),
    "diversity": serializers.FloatField(help_text="The requested diversity, 0 to 1."),
    "intra_list_similarity": serializers.FloatField(
        help_text="The mean similarity, 0 to 1, of two of the first 20 movies."
    ),
    "promoted_count": serializers.IntegerField(
        help_text="How many of the first 20 movies the order alone would have shown later."
    ),
}


class RecommendationViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        query=FeedQuery,
        responses={200: PageOf(RecommendationSerializer, FEED_KEYS, name="RecommendationPage")},
    )
    def list(self, request: Request) -> Response:
        """The caller's personal feed: what to watch next.

        It contains no movie the caller has rated, watched or hidden, or wants less of. Of a film series
        the first part the caller has not seen comes first. `strategy` is `personalized` from the first
        rating on, and `cold_start` before: popular, top rated and trending movies, favorite genres
        first. `diversity` is the requested one. Two figures describe the first 20 movies as
        served: `intra_list_similarity` is the mean similarity (0 to 1, of genres and period) of two of
        them, and `promoted_count` is the number of them that the order alone would have shown later.
        """
        user, query = cast(User, request.user), self.query
        if query["on_my_services"]:
            query = add_own_services(query, user)
        feed = build_feed(
            user,
            filter_movies(Movie.objects.all(), query),
            diversity=self.query["diversity"],
            include_watchlist=self.query["include_watchlist"],
        )
        return paginate_list(
            request,
            self.query,
            feed.items,
            _serialize_items,
            strategy=feed.strategy,
            algorithm=feed.algorithm,
            **dataclasses.asdict(feed.diversity),
        )

    @contract(responses={200: MatchScoreSerializer})
    def match_score(self, request: Request, pk: int) -> Response:
        """How likely the caller is to like this movie, and why.

        `match_score` is the probability in percent that the caller gives it 4 stars or more. `baseline`
        and the points of the three components add up to it. `counterfactuals` are the score without
        one of the caller's ratings.
        """
        matches = compute_matches(cast(User, request.user), [pk])
        if not matches:
            raise Http404
        return Response(_serialize_match(matches[0]))

    @contract(query=PageQuery, responses={200: PageOf(OnboardingSerializer)})
    def onboarding(self, request: Request) -> Response:
        """Some 20 movies worth rating first: well known, divisive, and informative about many others.

        Movies the caller has rated or hidden make room for the next.
        """
        movies = choose_onboarding_movies(cast(User, request.user))
        return paginate_list(request, self.query, movies, _serialize_items)


class GroupRecommendationViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        query=GroupFeedQuery,
        responses={
            200: PageOf(GroupRecommendationSerializer, GROUP_KEYS, name="GroupRecommendationPage")
        },
        errors={409: "The group has fewer than two members: `group_too_small`."},
    )
    def list(self, request: Request, pk: int) -> Response:
        """What all members of a group will like.

        It contains no movie that a member has rated, watched or hidden, wants less of or has vetoed.
        Movies that members voted for come first. A reason names ratings only if the caller may see those
        of all members on their profiles.
        """
        caller = cast(User, request.user)
        group = get_group(group_id=pk, viewer_id=caller.pk)
        if len(group.members) < MIN_GROUP_MEMBERS:
            detail = "Recommendations need two members. Let somebody join with the group's code."
            raise Problem(409, "group_too_small", detail)
        query = self.query
        if query["on_my_services"]:
            query = add_group_services(query, caller, group.users)
        votes = read_votes(group)
        vetoed = [each.movie_id for each in votes if each.is_vetoed]
        feed = recommend_to_group(
            group.users,
            filter_movies(Movie.objects.all(), query).exclude(id__in=vetoed),
            name_ratings=can_see_all(group, viewer_id=caller.pk),
            include_seen=self.query["include_seen"],
            yes_votes={each.movie_id: each.yes_count for each in votes if not each.is_vetoed},
        )
        return paginate_list(
            request,
            self.query,
            feed.items,
            _serialize_group_items,
            strategy=feed.strategy,
            algorithm=feed.algorithm,
            members_without_ratings=feed.members_without_ratings,
        )


class MovieStateViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=MovieStatesQuery, responses={200: ListOf(MovieStateSerializer)})
    def list(self, request: Request) -> Response:
        """What the caller has said about each of these movies, and how it matches.

        In the order of `ids`; ids of no movie are left out.
        """
        states = get_movie_states(cast(User, request.user), self.query["ids"])
        return Response(MovieStateSerializer(states, many=True).data)


class FeedbackViewSet(LocalizedViewSet):
    """The caller's feedback on recommendations; nobody can read another member's."""

    permission_classes = [IsAuthenticated]

    @contract(query=PageQuery, responses={200: PageOf(FeedbackSerializer)})
    def list(self, request: Request) -> Response:
        """The movies the caller has hidden, or wants less or more of, newest first; for undo."""
        feedback = Feedback.objects.with_movie().filter(user_id=cast(User, request.user).pk)
        return paginate(request, self.query, feedback, NEWEST_FEEDBACK_FIRST, _serialize_feedback)

    @contract(
        body=FeedbackWriteSerializer,
        responses={200: FeedbackSerializer},
        errors={409: "A quota is full: `too_many_feedback`."},
    )
    def update(self, request: Request, pk: int) -> Response:
        """Hide a movie from the feed, or ask for less or more like it; the next feed follows it.

        `hide` and `less` remove the movie itself from the feed. `less` and `more` also move movies
        liked by the same members. New feedback replaces the earlier one.
        """
        feedback = feedback_set(user_id=cast(User, request.user).pk, movie_id=pk, **self.body)
        return Response(FeedbackSerializer(feedback).data)

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete the caller's feedback on a movie."""
        feedback_delete(user_id=cast(User, request.user).pk, movie_id=pk)
        return Response(status=204)


class SimilarViewSet(LocalizedViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Read the token only if the response depends on the caller."""
        # The generator of the schema has no request.
        if self.request is not None and "exclude_seen" in self.request.GET:
            return [authenticator() for authenticator in self.authentication_classes]
        return super().get_authenticators()

    @contract(
        query=SimilarQuery,
        responses={200: PageOf(SimilarSerializer)},
        errors={401: "`exclude_seen` without a valid token."},
    )
    def list(self, request: Request, pk: int) -> Response:
        """Movies similar to this one, most similar first.

        By who likes both if this community has rated the movie often, else by genres, period, people and
        what TMDb lists beside the movie.
        """
        movie = Movie.objects.summaries().filter(pk=pk).first()
        if movie is None:
            raise Http404
        caller = request.user if self.query["exclude_seen"] else None
        if caller is not None and not caller.is_authenticated:
            raise NotAuthenticated
        similar = find_similar(movie, exclude_seen_by=caller)
        return paginate_list(request, self.query, similar, _serialize_items)


class CompleteMovieViewSet(MovieDetailViewSet):
    """The movie's detail of the tmdb app, with what `append` names."""

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Read the token only if the response depends on the caller."""
        # The generator of the schema has no request.
        if self.request is not None and self._depends_on_caller(self.request.GET):
            return [authenticator() for authenticator in self.authentication_classes]
        return super().get_authenticators()

    @contract(
        query=MovieDetailQuery,
        responses={200: MovieDetailSerializer},
        errors={
            401: "`append=state` without a valid token, or `append=reviews` with a bad one, or "
            "`append=watch_providers` with a bad one and without `region`."
        },
    )
    def retrieve(self, request: Request, pk: int) -> Response:
        """Get a movie with its people, keywords and provenance, and with what is appended.

        Details that are missing or older than TMDb's terms allow are fetched from TMDb first. If
        that fails, `provenance.stale` is true and TMDb's texts and images are left out.
        """
        append = self.query["append"]
        if "state" in append and not request.user.is_authenticated:
            raise NotAuthenticated("append=state needs an access token: Authorization: Bearer …")
        response = super().retrieve(request, pk)
        if "similar" in append:
            movie = get_object_or_404(Movie.objects.summaries(), pk=pk)
            page = paginate_list(request, FIRST_PAGE, find_similar(movie), _serialize_items)
            response.data["similar"] = _link_own_list(request, page, "similar", pk)
        if "reviews" in append:
            page = list_reviews(request, FIRST_PAGE, movie_id=pk)
            response.data["reviews"] = _link_own_list(request, page, "review-list", pk)
        if not {"videos", "watch_providers"}.isdisjoint(append):
            self._append_from_tmdb(request, response.data, pk)
        if "state" in append:
            states = get_movie_states(cast(User, request.user), [pk])
            if not states:
                raise Http404  # deleted since the query before
            response.data["state"] = MovieStateSerializer(states[0]).data
        if self._depends_on_caller(request.query_params):
            response["Cache-Control"] = NO_STORE
        return response

    def _append_from_tmdb(self, request: Request, data: dict[str, Any], pk: int) -> None:
        """Add videos and offers; None for what is not stored while TMDb is unavailable."""
        append = self.query["append"]
        movie = get_object_or_404(Movie.objects.summaries(), pk=pk)
        if "watch_providers" in append:
            region = choose_region(request, self.query.get("region"))
            data["watch_providers"] = None
            with suppress(TmdbError):
                data["watch_providers"] = describe_offers(movie, region)
        if "videos" in append:
            data["videos"] = None
            with suppress(TmdbError):
                data["videos"] = list_videos(movie)

    @staticmethod
    def _depends_on_caller(query: Mapping[str, str]) -> bool:
        append = set(query.get("append", "").split(","))
        needs_profile = "watch_providers" in append and "region" not in query
        return needs_profile or not append.isdisjoint({"reviews", "state"})


def _link_own_list(request: Request, page: Response, route: str, movie_id: int) -> dict[str, Any]:
    """Return a first page whose `next` is the second page of the list at `route`."""
    data: dict[str, Any] = page.data
    if data["next"] is not None:
        path = f"{reverse(route, args=[movie_id])}?page=2"
        data["next"] = request.build_absolute_uri(path)
    return data


def _serialize_items(items: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the items of a list of the recommender, each with its MovieSummary."""
    return [
        {
            "movie": movie_summary_payload(item.movie),
            **{name: vars(item)[name] for name in vars(item) if name not in ("movie", "movie_id")},
        }
        for item in items
    ]


def _serialize_group_items(items: list[GroupRecommendation]) -> list[dict[str, Any]]:
    return [
        {**item, "members": [dataclasses.asdict(member) for member in item["members"]]}
        for item in _serialize_items(items)
    ]


def _serialize_match(match: Any) -> MoviePayload:
    """Return a match score, whose own title and those of other movies can be localized."""
    payload = MoviePayload(dataclasses.asdict(match))
    for counterfactual in payload["counterfactuals"]:
        counterfactual["movie"] = MoviePayload(counterfactual["movie"])
    return payload


def _serialize_feedback(rows: list[Any]) -> Any:
    return FeedbackSerializer(rows, many=True).data
