from django.urls import path

from social.transfer.views import (
    ExportViewSet,
    ImportListViewSet,
    ImportTemplateViewSet,
    ImportViewSet,
)

urlpatterns = [
    path(
        "imports/",
        ImportListViewSet.as_view({"get": "list", "post": "create"}),
        name="import-list",
    ),
    path(
        "imports/template.csv",
        ImportTemplateViewSet.as_view({"get": "retrieve"}),
        name="import-template",
    ),
    path(
        "imports/<id:pk>/",
        ImportViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="import-detail",
    ),
    path(
        "imports/<id:pk>/rows/<id:number>/",
        ImportViewSet.as_view({"patch": "correct"}),
        name="import-row",
    ),
    path("imports/<id:pk>/match/", ImportViewSet.as_view({"post": "match"}), name="import-match"),
    path("imports/<id:pk>/apply/", ImportViewSet.as_view({"post": "apply"}), name="import-apply"),
    path("imports/<id:pk>/undo/", ImportViewSet.as_view({"post": "undo"}), name="import-undo"),
    path("exports/", ExportViewSet.as_view({"get": "retrieve"}), name="export"),
]
