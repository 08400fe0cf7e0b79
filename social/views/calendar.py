"""Coming releases of the caller's watchlist: a list, and a private calendar to subscribe to."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movies.fields import RegionField
from movies.views import LocalizedViewSet
from nexus.core.api.exceptions import problem_response, require_safe
from nexus.core.api.pagination import paginate_list
from nexus.core.api.permissions import HasSession
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import NO_STORE, ApiViewSet, PageOf, contract
from social.selectors.calendar import MAX_EVENTS, PAST, find_feed_owner, list_calendar
from social.serializers.calendar import (
    CalendarEntrySerializer,
    CalendarFeedSerializer,
    make_calendar,
    serialize_entries,
)
from social.services.calendar import calendar_feed_renew


class CalendarQuery(PageQuery):
    region = RegionField(
        required=False,
        help_text="ISO 3166-1 code, such as `DE`. By default the region of the caller's profile.",
    )


class CalendarViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=CalendarQuery, responses={200: PageOf(CalendarEntrySerializer)})
    def list(self, request: Request) -> Response:
        """The coming releases of the movies on the caller's watchlist, the earliest first.

        Of a movie without a known release in the region, or without a region, it is the movie's own
        release date. At most 500 movies, those added last.
        """
        assert isinstance(request.user, User)
        entries = list_calendar(
            user_id=request.user.pk,
            region=self.query.get("region") or request.user.region,
            since=_get_today(),
        )
        return paginate_list(request, self.query, entries, serialize_entries)


class CalendarFeedViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated, HasSession]

    @contract(responses={200: CalendarFeedSerializer})
    def create(self, request: Request) -> Response:
        """Make the address of a private calendar that calendar programs can subscribe to.

        It contains the same releases as the list, for the region of the profile. Each call makes a new
        address, and the one before stops working. The address is shown only once.
        """
        secret = calendar_feed_renew(user_id=self.member_id)
        path = reverse("calendar-feed", args=[secret])
        url = f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else None
        return Response({"url": url or request.build_absolute_uri(path)})


@require_safe
def calendar_feed(request: HttpRequest, secret: str) -> HttpResponse:
    """Serve the calendar of the member whose secret this is; 404 for any other."""
    feed = find_feed_owner(secret)
    if feed is None:
        detail = "No calendar has this address. Make a new one with POST /watchlist/calendar/feed/."
        return problem_response(request, 404, "not_found", detail)
    region = feed.user.region
    entries = list_calendar(user_id=feed.user_id, region=region, since=_get_today() - PAST)
    response = HttpResponse(
        make_calendar(entries[:MAX_EVENTS], region=region),
        content_type="text/calendar; charset=utf-8",
    )
    response["Content-Disposition"] = 'inline; filename="watchlist.ics"'
    response["Cache-Control"] = NO_STORE
    return response


def _get_today() -> date:
    return datetime.now(UTC).date()
