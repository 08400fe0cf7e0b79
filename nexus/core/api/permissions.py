"""What guests and personal access tokens may not do.

A personal access token is a `request.auth` with `granted_scopes`. A session has none and may do all
that its member may.
"""

from __future__ import annotations

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from nexus.core.api.exceptions import GuestNotAllowed


class IsNotGuest(BasePermission):
    """Refuses guests with 403 `guest_not_allowed`."""

    message = GuestNotAllowed.default_detail
    code = GuestNotAllowed.default_code

    def has_permission(self, request: Request, view: APIView) -> bool:
        return not getattr(request.user, "is_guest", False)


class IsNotGuestOrReadOnly(IsNotGuest):
    """Lets guests read."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)


class HasScope(BasePermission):
    """Refuses a personal access token without the scope of the request: 403 `insufficient_scope`.

    That is the view's `required_scope`, or else `read` for reads and `write` for everything else.
    """

    code = "insufficient_scope"

    def has_permission(self, request: Request, view: APIView) -> bool:
        granted = getattr(request.auth, "granted_scopes", None)
        if granted is None:
            return True
        by_method = "read" if request.method in SAFE_METHODS else "write"
        scope = getattr(view, "required_scope", None) or by_method
        self.message = f"The token needs the scope {scope}. Create one that has it."
        return scope in granted


class HasAccessToken(BasePermission):
    """Refuses everything but personal access tokens: 403 `insufficient_scope`."""

    message = "Send a personal access token with the scope of this call, not one of a session."
    code = "insufficient_scope"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return hasattr(request.auth, "granted_scopes")


class HasSession(BasePermission):
    """Refuses personal access tokens, whatever their scopes: 403 `session_required`."""

    message = "A personal access token may not do this. Log in and send the session's access token."
    code = "session_required"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return not hasattr(request.auth, "granted_scopes")
