"""Users and sessions in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import models
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import PersonalAccessToken, SpentRefreshToken, TokenFamily, User
from accounts.services import profile_update, user_deactivate, user_revoke_access
from accounts.tasks import send_verification_mail
from nexus.core.admin import ObjectActionsMixin, count_objects

PROFILE_FIELDS = (
    *("origin", "display_name", "bio", "avatar_url"),
    *("favorite_genre_names", "visibility"),
)


@admin.register(User)
class UserAdmin(ObjectActionsMixin, DjangoUserAdmin):
    """Accounts and roles. The words of a member's profile can be removed, but not written."""

    list_display = (
        *("username", "email", "origin", "visibility", "is_active", "is_staff", "date_joined"),
    )
    list_filter = ("origin", "is_active", "is_staff", "visibility", "groups")
    search_fields = ("username", "email", "display_name")
    actions = ("deactivate", "clear_profile")
    readonly_fields = ("email_verified", "last_login", "date_joined", *PROFILE_FIELDS)
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                # Only staff may have a name that is reserved for them.
                "fields": (
                    *("username", "email", "is_staff"),
                    *("usable_password", "password1", "password2"),
                ),
            },
        ),
    )
    fieldsets = (
        (None, {"fields": ("username", "password", "email", "email_verified")}),
        (
            "Permissions",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Profile", {"fields": PROFILE_FIELDS}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    @admin.action(
        description="Deactivate: end all sessions, refuse logins and hide the member everywhere",
        permissions=["change"],
    )
    def deactivate(self, request: HttpRequest, queryset: models.QuerySet[User]) -> None:
        count = sum(self.deactivate_user(user) for user in queryset)
        text = f"{count_objects(count, 'user')} deactivated."
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    def deactivate_user(self, user: User) -> bool:
        """Deactivate one user; return whether they were active. social.admin adds their figures."""
        return user_deactivate(user_id=user.pk)

    @admin.action(
        description="Remove display name, bio and picture from the profile", permissions=["change"]
    )
    def clear_profile(self, request: HttpRequest, queryset: models.QuerySet[User]) -> None:
        users = list(queryset)
        for user in users:
            profile_update(user=user, changes={"display_name": "", "bio": "", "avatar_url": ""})
        text = f"{count_objects(len(users), 'profile')} cleared."
        self.message_user(request, text, messages.SUCCESS if users else messages.WARNING)

    def filter_for_action(
        self, request: HttpRequest, queryset: models.QuerySet[User]
    ) -> models.QuerySet[User]:
        allowed = [user.pk for user in queryset if self.has_change_permission(request, user)]
        return queryset.filter(pk__in=allowed)

    def is_action_useful(self, name: str, obj: User) -> bool:
        if name == "deactivate":
            return obj.is_active
        return bool(obj.display_name or obj.bio or obj.avatar_url)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save the user. A changed e-mail address is unverified, and gets the verification mail."""
        is_email_changed = "email" in form.changed_data
        if is_email_changed:
            obj.email_verified = False
            obj.pending_email = ""
        super().save_model(request, obj, form, change)
        if is_email_changed:
            send_verification_mail.defer(user_id=obj.pk)

    @admin.display(description="favorite genres")
    def favorite_genre_names(self, user: User) -> str:
        return ", ".join(user.favorite_genres) or "-"

    def view_on_site(self, obj: User) -> str:
        return reverse("member-detail", args=[obj.username])

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = list(super().get_readonly_fields(request, obj))
        if obj is not None:
            fields.append("username")
        if not request.user.is_superuser:
            # Staff who may change users must not raise their own permissions.
            fields += ["is_superuser", "user_permissions"]
        return fields

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


@admin.register(PersonalAccessToken)
class PersonalAccessTokenAdmin(ReadOnlyAdmin):
    """Personal access tokens. Deleting one ends it."""

    list_display = ("user", "name", "scopes", "created_at", "last_used_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    exclude = ("digest",)
    show_full_result_count = False
