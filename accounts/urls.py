from django.urls import path

from accounts.views import (
    AccessTokenViewSet,
    EmailVerificationViewSet,
    EmailViewSet,
    GuestViewSet,
    PasswordResetViewSet,
    PasswordViewSet,
    RegisterViewSet,
    SessionListViewSet,
    SessionViewSet,
    TokenViewSet,
)

urlpatterns = [
    path("auth/register/", RegisterViewSet.as_view({"post": "create"}), name="register"),
    path("auth/guest/", GuestViewSet.as_view({"post": "create"}), name="guest"),
    path("auth/token/", TokenViewSet.as_view({"post": "create"}), name="token"),
    path("auth/token/refresh/", SessionViewSet.as_view({"post": "refresh"}), name="token-refresh"),
    path("auth/token/verify/", SessionViewSet.as_view({"post": "verify"}), name="token-verify"),
    path("auth/logout/", SessionViewSet.as_view({"post": "logout"}), name="logout"),
    path(
        "auth/logout/all/", SessionListViewSet.as_view({"post": "destroy_all"}), name="logout-all"
    ),
    path("auth/sessions/", SessionListViewSet.as_view({"get": "list"}), name="session-list"),
    path(
        "auth/sessions/<uuid:pk>/",
        SessionListViewSet.as_view({"delete": "destroy"}),
        name="session-detail",
    ),
    path(
        "auth/access-tokens/",
        AccessTokenViewSet.as_view({"get": "list", "post": "create"}),
        name="access-token-list",
    ),
    path(
        "auth/access-tokens/<id:pk>/",
        AccessTokenViewSet.as_view({"delete": "destroy"}),
        name="access-token-detail",
    ),
    path(
        "auth/password/change/", PasswordViewSet.as_view({"post": "change"}), name="password-change"
    ),
    path(
        "auth/password/reset/",
        PasswordResetViewSet.as_view({"post": "ask"}),
        name="password-reset",
    ),
    path(
        "auth/password/reset/confirm/",
        PasswordResetViewSet.as_view({"post": "confirm"}),
        name="password-reset-confirm",
    ),
    path(
        "auth/email/verify/",
        EmailVerificationViewSet.as_view({"post": "verify"}),
        name="email-verify",
    ),
    path(
        "auth/email/verify/resend/",
        EmailViewSet.as_view({"post": "resend"}),
        name="email-verify-resend",
    ),
    path("auth/email/change/", EmailViewSet.as_view({"post": "change"}), name="email-change"),
]
