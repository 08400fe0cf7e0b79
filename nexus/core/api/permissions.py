"""What guests may not do, although they have a token."""

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
