"""The routes of the service. Each app names its own; the schema describes api_urlpatterns alone."""

from django.contrib import admin
from django.urls import include, path, register_converter

from accounts.confirmation_page import confirm_email
from nexus.core.api import health, root
from nexus.core.api.openapi import JSON, YAML, OpenApiDocument
from nexus.core.api.schema import make_schema_view
from nexus.core.api.url_converters import IdConverter, MediaServerConverter, UsernameConverter
from social.views.calendar import calendar_feed

register_converter(IdConverter, "id")
register_converter(UsernameConverter, "username")
register_converter(MediaServerConverter, "media_server")

# The app that owns a rule owns its endpoint, so apps share prefixes such as `/movies/`.
api_urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("movies.urls")),
    path("", include("recommendations.urls")),
    path("", include("social.urls")),
    path("", include("tmdb.urls")),
]

schema = make_schema_view(api_urlpatterns)
openapi = OpenApiDocument(api_urlpatterns)

urlpatterns = [
    *api_urlpatterns,
    path("", root.index, name="index"),
    path("calendar/<str:secret>.ics", calendar_feed, name="calendar-feed"),
    path("auth/email/confirm/", confirm_email, name="email-confirm"),
    path("favicon.ico", root.favicon, name="favicon"),
    path("swagger/", schema.with_ui("swagger"), name="swagger"),
    path("redoc/", schema.with_ui("redoc"), name="redoc"),
    path("swagger.json", schema.without_ui(), {"format": "json"}, name="schema-json"),
    path("swagger.yaml", schema.without_ui(), {"format": "yaml"}, name="schema-yaml"),
    path("openapi.json", openapi.make_view(JSON), name="openapi-json"),
    path("openapi.yaml", openapi.make_view(YAML), name="openapi-yaml"),
    path("admin/", admin.site.urls),
    path("health/live/", health.live, name="health-live"),
    path("health/ready/", health.ready, name="health-ready"),
    path("metrics/", health.metrics, name="metrics"),
]

handler400 = "nexus.core.api.exceptions.bad_request"
handler403 = "nexus.core.api.exceptions.permission_denied"
handler404 = "nexus.core.api.exceptions.page_not_found"
handler500 = "nexus.core.api.exceptions.server_error"
