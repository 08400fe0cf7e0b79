"""The route table, in the README's order."""

from django.contrib import admin
from django.urls import include, path, register_converter

from nexus.core import health, index
from nexus.core.converters import IdConverter, UsernameConverter
from nexus.openapi import schema_view

register_converter(IdConverter, "id")
register_converter(UsernameConverter, "username")

# What the schema describes. Two apps share a prefix where the layers ask for it: the app that owns
# a rule owns its endpoint.
api_urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("movies.urls")),
    path("", include("recommendations.urls")),
    path("", include("social.urls")),
    path("", include("tmdb.urls")),
]

schema = schema_view(api_urlpatterns)

urlpatterns = [
    *api_urlpatterns,
    path("", index.index, name="index"),
    path("favicon.ico", index.favicon, name="favicon"),
    path("swagger/", schema.with_ui("swagger"), name="swagger"),
    path("redoc/", schema.with_ui("redoc"), name="redoc"),
    path("swagger.json", schema.without_ui(), {"format": "json"}, name="schema-json"),
    path("swagger.yaml", schema.without_ui(), {"format": "yaml"}, name="schema-yaml"),
    path("admin/", admin.site.urls),
    path("health/live/", health.live, name="health-live"),
    path("health/ready/", health.ready, name="health-ready"),
    path("metrics/", health.metrics, name="metrics"),
]

handler400 = "nexus.core.errors.bad_request"
handler403 = "nexus.core.errors.permission_denied"
handler404 = "nexus.core.errors.page_not_found"
handler500 = "nexus.core.errors.server_error"
