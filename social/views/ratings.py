"""Ratings and reviews over HTTP."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from movies.models import Movie
from nexus.core.api.exceptions import NotFound, field_error
from nexus.core.api.pagination import paginate
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
from social.views.callers import member


def _ratings(rows: list[Any]) -> Any:
    return RatingSerializer(rows, many=True).data


def _reviews(rows: list[Any]) -> Any:
    return ReviewSerializer(rows, many=True).data


class RatingViewSet(ApiViewSet):
    """The caller's own ratings; there is no way to another member's."""

    permission_classes = [IsAuthenticated]

    @contract(query=RatingListQuery, responses={200: PageOf(RatingSerializer)})
    def list(self, request: Request) -> Response:
        """The caller's ratings."""
        ratings = filter_ratings(
            Rating.objects.with_movie().filter(user_id=member(request).pk), self.query
        )
        ordering = RATING_ORDERINGS[self.query["ordering"]]
        return paginate(request, self.query, ratings, ordering, _ratings)

    @contract(
        body=RatingWriteSerializer,
        responses={201: RatingSerializer, 200: RatingSerializer},
        errors={409: "The rating was withdrawn and made again elsewhere at the same time."},
    )
    def create(self, request: Request) -> Response:
        """Rate a film, or rate it anew.

        201 for a first rating, 200 for a replaced one, which keeps the review and the spoiler mark
        that are not sent. Sending the same again is safe.
        """
        body = dict(self.body)
        rating, created = rating_set(user_id=member(request).pk, movie_id=body.pop("movie"), **body)
        return Response(RatingSerializer(rating).data, status=201 if created else 200)

    @contract(responses={200: RatingSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """One rating of the caller's."""
        return Response(RatingSerializer(self._own(pk)).data)

    @contract(body=RatingEditSerializer, responses={200: RatingSerializer})
    def update(self, request: Request, pk: int) -> Response:
        """Change a rating; what is left out stays as it is, but the score must be sent."""
        return self._changed(pk)

    @contract(body=RatingEditSerializer, responses={200: RatingSerializer})
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is sent of a rating."""
        return self._changed(pk)

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Withdraw a rating."""
        rating_delete(rating_id=self._own(pk).id)
        return Response(status=204)

    def _own(self, pk: int) -> Rating:
        own = Rating.objects.with_movie().filter(id=pk, user_id=member(self.request).pk).first()
        if own is None:
            raise NotFound
        return own

    def _changed(self, pk: int) -> Response:
        rating = self._own(pk)
        body = dict(self.body)
        if body.pop("movie", rating.movie_id) != rating.movie_id:
            raise field_error("movie", "A rating stays with its film; rate the other one.")
        return Response(RatingSerializer(rating_update(rating_id=rating.id, **body)).data)


class ReportViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        body=ReportWriteSerializer,
        responses={201: ReportSerializer, 200: ReportSerializer},
        errors={403: "The review is the caller's own."},
    )
    def create(self, request: Request, pk: int) -> Response:
        """Report a review to the moderators; once a member, the first report stands (200)."""
        report, created = review_report(reporter_id=member(request).pk, rating_id=pk, **self.body)
        return Response(ReportSerializer(report).data, status=201 if created else 200)


class ReviewViewSet(ApiViewSet):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @contract(query=ReviewListQuery, responses={200: PageOf(ReviewSerializer)})
    def list(self, request: Request, movie_id: int) -> Response:
        """What members with a public profile wrote of a film, newest first.

        Without a token the same for everybody; a member sees none of those they have blocked or
        were blocked by.
        """
        if not Movie.objects.filter(id=movie_id).exists():
            raise NotFound
        reviews = Rating.objects.reviews_visible_to(request.user.pk).with_author()
        reviews = reviews.filter(movie_id=movie_id)
        if self.query["hide_spoilers"]:
            reviews = reviews.filter(contains_spoilers=False)
        return paginate(request, self.query, reviews, NEWEST_FIRST, _reviews)
