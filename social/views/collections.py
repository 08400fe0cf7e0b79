"""The endpoint of series of movies."""

from __future__ import annotations

from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from movies.views import LocalizedViewSet
from nexus.core.api.views import NO_STORE, PUBLIC, contract
from social.selectors.collections import get_series
from social.serializers.collections import SeriesSerializer, serialize_series


class CollectionViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticatedOrReadOnly]
    cache_control = PUBLIC

    @contract(responses={200: SeriesSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Get a series of movies in release order, with what the caller has seen of it.

        A token is optional. Without one the response is public, and `seen` is null. Movies of which
        only the year is known come at its end, and those without any date last.
        """
        viewer_id = request.user.pk
        series = get_series(collection_id=pk, viewer_id=viewer_id)
        headers = {} if viewer_id is None else {"Cache-Control": NO_STORE}
        return Response(serialize_series(series), headers=headers)
