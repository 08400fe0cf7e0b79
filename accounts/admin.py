"""Users and sessions in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import models
from django.http import HttpRequest

from accounts.models import SpentRefreshToken, TokenFamily, User
from accounts.services import user_revoke_access


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ("username", "email", "origin", "visibility", "is_active", "is_staff")
    list_filter = ("origin", "is_active", "is_staff", "visibility", "groups")
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        (
            "Profile",
            {
                "fields": (
                    "origin",
                    "display_name",
                    "bio",
                    "avatar_url",
                    "favorite_genres",
                    "visibility",
                )
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Staff who may change users must not raise their own permissions.
        superuser_fields = () if request.user.is_superuser else ("is_superuser", "user_permissions")
        return (*super().get_readonly_fields(request, obj), *superuser_fields)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False for a superuser's account, unless a superuser changes it."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:  # noqa: A002 (Django's name)
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            user_revoke_access(user_id=int(id))
        return response

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: staff deactivate users instead, which ends their sessions.

        Users delete their accounts with DELETE /profiles/me/, which also updates the movies' counts.
        """
        return False


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows rows without letting staff add or change them; they may delete them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TokenFamily)
class TokenFamilyAdmin(ReadOnlyAdmin):
    """Sessions. Deleting one ends it."""

    list_display = ("user", "user_agent", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    show_full_result_count = False


@admin.register(SpentRefreshToken)
class SpentRefreshTokenAdmin(ReadOnlyAdmin):
    list_display = ("jti", "family", "spent_at")
    list_select_related = ("family__user",)
    show_full_result_count = False
