"""The route table, in the README's order."""

from django.contrib import admin
from django.urls import include, path, register_converter

from nexus.core import health
from nexus.core.converters import IdConverter

register_converter(IdConverter, "id")

# What the schema describes.
api_urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("movies.urls")),
]

urlpatterns = [
    *api_urlpatterns,
    path("admin/", admin.site.urls),
    path("health/live/", health.live, name="health-live"),
    path("health/ready/", health.ready, name="health-ready"),
]

handler400 = "nexus.core.errors.bad_request"
handler403 = "nexus.core.errors.permission_denied"
handler404 = "nexus.core.errors.page_not_found"
handler500 = "nexus.core.errors.server_error"
