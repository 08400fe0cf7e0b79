from django.urls import path

from recommendations.views import (
    CompleteMovieViewSet,
    FeedbackViewSet,
    GroupRecommendationViewSet,
    MovieStateViewSet,
    RecommendationViewSet,
    SimilarViewSet,
)

urlpatterns = [
    path(
        "movies/recommendations/",
        RecommendationViewSet.as_view({"get": "list"}),
        name="recommendations",
    ),
    path(
        "movies/onboarding/",
        RecommendationViewSet.as_view({"get": "onboarding"}),
        name="onboarding",
    ),
    path("movies/states/", MovieStateViewSet.as_view({"get": "list"}), name="movie-states"),
    path("movies/<id:pk>/", CompleteMovieViewSet.as_view({"get": "retrieve"}), name="movie-detail"),
    path(
        "movies/<id:pk>/match_score/",
        RecommendationViewSet.as_view({"get": "match_score"}),
        name="match-score",
    ),
    path("movies/<id:pk>/similar/", SimilarViewSet.as_view({"get": "list"}), name="similar"),
    path(
        "movies/<id:pk>/feedback/",
        FeedbackViewSet.as_view({"put": "update", "delete": "destroy"}),
        name="feedback",
    ),
    path(
        "groups/<id:pk>/recommendations/",
        GroupRecommendationViewSet.as_view({"get": "list"}),
        name="group-recommendations",
    ),
    path("feedback/", FeedbackViewSet.as_view({"get": "list"}), name="feedback-list"),
]
