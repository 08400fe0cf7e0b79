from django.urls import path

from accounts.views import RegisterViewSet, SessionViewSet, TokenViewSet

urlpatterns = [
    path("auth/register/", RegisterViewSet.as_view({"post": "create"}), name="register"),
    path("auth/token/", TokenViewSet.as_view({"post": "create"}), name="token"),
    path("auth/token/refresh/", SessionViewSet.as_view({"post": "refresh"}), name="token-refresh"),
    path("auth/token/verify/", SessionViewSet.as_view({"post": "verify"}), name="token-verify"),
    path("auth/logout/", SessionViewSet.as_view({"post": "logout"}), name="logout"),
]
