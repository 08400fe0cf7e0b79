"""The endpoint of media servers' webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any
from urllib.parse import parse_qs

from django.conf import settings
from django.utils import timezone
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import (
    FamilyJWTAuthentication,
    PersonalAccessTokenAuthentication,
    QueryTokenAuthentication,
)
from nexus.core.api.exceptions import Problem
from nexus.core.api.parsers import StrictJSONParser, StrictMultiPartParser
from nexus.core.api.permissions import HasAccessToken, IsNotGuest
from nexus.core.api.views import ApiViewSet, contract
from nexus.core.db.connection_pool import release_connections
from social.serializers.scrobbles import ScrobbleQuery, WebhookSerializer
from social.services.scrobbles import scrobble_record
from social.webhooks import MediaServer, parse_playback

# The part of a multipart body or the field of a form that is the JSON: Plex's and Emby's.
_JSON_FIELDS = ("payload", "data")
# 2 MiB can be 700,000 empty lists, which take 0.6 s to parse. A webhook has a few hundred values.
MAX_VALUES = 50_000


class WebhookParser(BaseParser):
    """Parses the JSON of a webhook, whatever media type the server says.

    Some send JSON as text/plain, or as a part beside a picture, which is ignored.
    """

    media_type = "*/*"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        kind = (media_type or "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            data = StrictMultiPartParser().parse(stream, media_type, parser_context).data
            stream = BytesIO(_find_json(data).encode())
        elif kind == "application/x-www-form-urlencoded":
            text = stream.read().decode("utf-8", "replace")
            try:
                form = parse_qs(text, max_num_fields=settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
            except ValueError as error:
                raise ParseError("The form has too many fields. Send fewer.") from error
            stream = BytesIO(_find_json({name: form[name][0] for name in form}).encode())
        body = stream.read()
        if body.count(b",") >= MAX_VALUES:
            raise Problem(413, "too_large", f"The JSON has over {MAX_VALUES:,} values. Send fewer.")
        return StrictJSONParser().parse(BytesIO(body))


def _find_json(fields: Mapping[str, Any]) -> str:
    for name in _JSON_FIELDS:
        if isinstance(value := fields.get(name), str):
            return value
    raise ParseError(f"The body has no part {' or '.join(_JSON_FIELDS)} with the JSON.")


class ScrobbleViewSet(ApiViewSet):
    """What a media server has played, for the member whose token it sends."""

    authentication_classes = [
        QueryTokenAuthentication,
        PersonalAccessTokenAuthentication,
        FamilyJWTAuthentication,
    ]
    permission_classes = [IsAuthenticated, IsNotGuest, HasAccessToken]
    parser_classes = [WebhookParser]
    required_scope = "scrobble"

    @contract(
        query=ScrobbleQuery,
        body=WebhookSerializer,
        responses={204: None},
        errors={
            409: "A quota is full: `too_many_viewings`.",
            413: "The body is over 2 MiB, or its JSON has over 50,000 values.",
        },
    )
    def create(self, request: Request, server: str) -> Response:
        """Receive the webhook of Plex, Jellyfin, Emby or Kodi.

        A movie that was played to 90 % or marked as played becomes a viewing, once in 12 hours for a
        token. 204 also for everything else, and for a movie that the catalogue does not have.
        """
        member_id, token_id = self.member_id, request.auth.pk
        # A client that sends its body slowly must not occupy a connection meanwhile.
        release_connections()
        playback = parse_playback(MediaServer(server), request.data)
        if playback is not None:
            scrobble_record(
                user_id=member_id,
                token_id=token_id,
                playback=playback,
                watched_at=timezone.now(),
            )
        return Response(status=204)
