"""Follows and blocks, and the rule that decides which members a viewer may see."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from accounts.models import User, Visibility


def build_visibility_filter(viewer_id: int | None, member: str = "") -> Q:
    """Return the condition that a viewer may see a member and everything the member owns.

    The member must be active, public or the viewer, and neither may have blocked the other. A
    viewer without an account (None) sees public members.

    `member` is the name of the foreign key to the member, such as `user` of a rating. It is empty
    if the filtered model is User.
    """
    path, key = (f"{member}__", f"{member}_id") if member else ("", "id")
    is_active = Q(**{f"{path}is_active": True})
    is_public = Q(**{f"{path}visibility": Visibility.PUBLIC})
    if viewer_id is None:
        return is_active & is_public
    is_viewer = Q(**{key: viewer_id})
    blocked = Block.objects.filter(blocker_id=viewer_id).values("blocked_id")
    blockers = Block.objects.filter(blocked_id=viewer_id).values("blocker_id")
    return (
        is_active
        & (is_public | is_viewer)
        & ~Q(**{f"{key}__in": blocked})
        & ~Q(**{f"{key}__in": blockers})
    )


def members_visible_to(viewer_id: int | None) -> models.QuerySet[User]:
    """Return the members whom a viewer may see."""
    return User.objects.filter(build_visibility_filter(viewer_id))


class FollowQuerySet(models.QuerySet["Follow"]):
    def followers_visible_to(self, viewer_id: int | None) -> Self:
        """Keep follows whose follower the viewer may see, and join the follower's public fields."""
        return self._with_visible(viewer_id, "follower")

    def followed_visible_to(self, viewer_id: int | None) -> Self:
        """Keep follows whose followed member the viewer may see, and join their public fields."""
        return self._with_visible(viewer_id, "followed")

    def _with_visible(self, viewer_id: int | None, member: str) -> Self:
        columns = [f"{member}__{name}" for name in ("username", "display_name", "avatar_url")]
        return (
            self.filter(build_visibility_filter(viewer_id, member))
            .select_related(member)
            .only("created_at", *columns)
        )


class Follow(models.Model):
    follower = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="follows_made"
    )
    followed = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="follows_received"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = FollowQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["follower", "followed"], name="follow_once"),
            models.CheckConstraint(condition=~Q(follower=F("followed")), name="follow_not_oneself"),
        ]
        indexes = [
            models.Index(fields=["follower", "-created_at", "-id"], name="follow_by_follower"),
            models.Index(fields=["followed", "-created_at", "-id"], name="follow_by_followed"),
        ]

    def __str__(self) -> str:
        return f"Follow {self.pk}"


class Block(models.Model):
    blocker = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="blocks_made"
    )
    blocked = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="blocks_received"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["blocker", "blocked"], name="block_once"),
            models.CheckConstraint(condition=~Q(blocker=F("blocked")), name="block_not_oneself"),
        ]
        indexes = [
            models.Index(fields=["blocker", "-created_at", "-id"], name="block_by_blocker"),
            models.Index(fields=["blocked"], include=["blocker"], name="block_by_blocked"),
        ]

    def __str__(self) -> str:
        return f"Block {self.pk}"
