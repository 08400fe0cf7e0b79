"""Endpoints of ratings, reviews and reports of reviews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from movies.models import Movie
from movies.views import LocalizedViewSet
from nexus.core.api.exceptions import NotFound, field_error
from nexus.core.api.pagination import paginate
from nexus.core.api.permissions import IsNotGuest
from nexus.core.api.views import ApiViewSet, PageOf, contract
from social.filters import (
    NEWEST_FIRST,
    RATING_ORDERINGS,
    RatingListQuery,
    ReviewListQuery,
    filter_ratings,
)
from social.models import Rating
from social.serializers.ratings import (
    RatingEditSerializer,
    RatingSerializer,
    RatingWriteSerializer,
    ReportSerializer,
    ReportWriteSerializer,
    ReviewSerializer,
)
from social.services.moderation import review_report
from social.services.ratings import rating_delete, rating_set, rating_update


def _serialize_ratings(rows: list[Any]) -> Any:
    return RatingSerializer(rows, many=True).data


def _serialize_reviews(rows: list[Any]) -> Any:
    return ReviewSerializer(rows, many=True).data


def list_reviews(request: Request, query: Mapping[str, Any], *, movie_id: int) -> Response:
    """Return the page of a movie's reviews that the caller may see, newest first.

    `query` is a validated ReviewListQuery.
    """
    reviews = Rating.objects.reviews_visible_to(request.user.pk).with_author()
    reviews = reviews.filter(movie_id=movie_id)
    if query.get("hide_spoilers"):
        reviews = reviews.filter(contains_spoilers=False)
    return paginate(request, query, reviews, NEWEST_FIRST, _serialize_reviews)


class RatingViewSet(LocalizedViewSet):
    """The caller's own ratings. Another member's rating is a 404."""

    permission_classes = [IsAuthenticated]

    @contract(query=RatingListQuery, responses={200: PageOf(RatingSerializer)})
    def list(self, request: Request) -> Response:
        """List the caller's ratings."""
        ratings = filter_ratings(
            Rating.objects.with_movie().filter(user_id=self.member_id), self.query
        )
        ordering = RATING_ORDERINGS[self.query["ordering"]]
        return paginate(request, self.query, ratings, ordering, _serialize_ratings)

    @contract(
        body=RatingWriteSerializer,
        responses={201: RatingSerializer, 200: RatingSerializer},
        errors={409: "A quota is full: `too_many_ratings`, `too_many_reviews`."},
    )
    def create(self, request: Request) -> Response:
        """Rate or review a movie, or change the caller's rating of it.

        201 for a new rating, 200 for a changed one, which keeps what is not sent. It needs a score or a
        review: without a score it counts as seen and in no figure. Repeating the request is safe.
        """
        body = dict(self.body)
        rating, created = rating_set(user_id=self.member_id, movie_id=body.pop("movie"), **body)
        return Response(RatingSerializer(rating).data, status=201 if created else 200)

    @contract(responses={200: RatingSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Return one of the caller's ratings."""
        return Response(RatingSerializer(self._get_own(pk)).data)

    @contract(
        body=RatingEditSerializer,
        responses={200: RatingSerializer},
        errors={409: "A quota is full: `too_many_reviews`."},
    )
    def update(self, request: Request, pk: int) -> Response:
        """Change a rating. The score is required; other fields that are not sent do not change."""
        return self._change(pk)

    @contract(
        body=RatingEditSerializer,
        responses={200: RatingSerializer},
        errors={409: "A quota is full: `too_many_reviews`."},
    )
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change the fields of a rating that are sent."""
        return self._change(pk)

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a rating."""
        rating_delete(rating_id=self._get_own(pk).id)
        return Response(status=204)

    def _get_own(self, pk: int) -> Rating:
        rating = Rating.objects.with_movie().filter(id=pk, user_id=self.member_id).first()
        if rating is None:
            raise NotFound
        return rating

    def _change(self, pk: int) -> Response:
        rating = self._get_own(pk)
        body = dict(self.body)
        if body.pop("movie", rating.movie_id) != rating.movie_id:
            raise field_error(
                "movie", "A rating cannot move to another movie. Rate the other movie instead."
            )
        return Response(RatingSerializer(rating_update(rating_id=rating.id, **body)).data)


class ReportViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated, IsNotGuest]

    @contract(
        body=ReportWriteSerializer,
        responses={201: ReportSerializer, 200: ReportSerializer},
        errors={
            403: "The review is the caller's own.",
            409: "A quota is full: `too_many_reports`.",
        },
    )
    def create(self, request: Request, pk: int) -> Response:
        """Report a review to the moderators; 200 if the caller has already reported it."""
        report, created = review_report(reporter_id=self.member_id, rating_id=pk, **self.body)
        return Response(ReportSerializer(report).data, status=201 if created else 200)


class ReviewViewSet(ApiViewSet):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @contract(query=ReviewListQuery, responses={200: PageOf(ReviewSerializer)})
    def list(self, request: Request, movie_id: int) -> Response:
        """List the reviews of a movie by members with a public profile, newest first.

        With a token, reviews by members whom the caller blocked or who blocked the caller are left
        out.
        """
        if not Movie.objects.filter(id=movie_id).exists():
            raise NotFound
        return list_reviews(request, self.query, movie_id=movie_id)
