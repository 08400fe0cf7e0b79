"""Members and sessions in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest

from accounts.models import SpentRefreshToken, TokenFamily, User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ("username", "email", "origin", "visibility", "is_active", "is_staff")
    list_filter = ("origin", "is_active", "is_staff", "visibility", "groups")
    readonly_fields = ("follower_count", "following_count", "last_login", "date_joined")
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
                    "follower_count",
                    "following_count",
                )
            },
        ),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Members leave through DELETE /profiles/me/, which keeps the films' counts right.

        Here they are deactivated, which ends their sessions as surely.
        """
        return False


class ReadOnlyAdmin(admin.ModelAdmin):
    """What the service writes, and nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TokenFamily)
class TokenFamilyAdmin(ReadOnlyAdmin):
    """Sessions; deleting one ends it."""

    list_display = ("user", "user_agent", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    show_full_result_count = False


@admin.register(SpentRefreshToken)
class SpentRefreshTokenAdmin(ReadOnlyAdmin):
    list_display = ("jti", "family", "spent_at")
    list_select_related = ("family__user",)
    show_full_result_count = False
