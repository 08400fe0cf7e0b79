from django.urls import path

from recommendations.views import RecommendationViewSet, SimilarViewSet

urlpatterns = [
    path(
        "movies/recommendations/",
        RecommendationViewSet.as_view({"get": "list"}),
        name="recommendations",
    ),
    path(
        "movies/<id:pk>/match_score/",
        RecommendationViewSet.as_view({"get": "match_score"}),
        name="match-score",
    ),
    path("movies/<id:pk>/similar/", SimilarViewSet.as_view({"get": "list"}), name="similar"),
]
