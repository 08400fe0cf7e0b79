"""Who follows and who blocks whom, and with that the one rule of who may see whose things."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from accounts.models import User, Visibility


def member_visible_to(viewer_id: int | None, member: str = "") -> Q:
    """The one rule: whether a viewer may see a member, and with them whatever is theirs.

    A member shows to a viewer while active, if the profile is public or the viewer's own, and
    neither has blocked the other. Nobody (None) is blocked by nobody. `member` is the path to the
    member from what is filtered, as `user` from a rating; empty where members are.
    """
    path, key = (f"{member}__", f"{member}_id") if member else ("", "id")
    rule = Q(**{f"{path}is_active": True})
    public = Q(**{f"{path}visibility": Visibility.PUBLIC})
    if viewer_id is None:
        return rule & public
    blocks = Block.objects
    return (
        rule
        & (public | Q(**{key: viewer_id}))
        & ~Q(**{f"{key}__in": blocks.filter(blocker_id=viewer_id).values("blocked_id")})
        & ~Q(**{f"{key}__in": blocks.filter(blocked_id=viewer_id).values("blocker_id")})
    )


def members_visible_to(viewer_id: int | None) -> models.QuerySet[User]:
    """The members whom a viewer may see."""
    return User.objects.filter(member_visible_to(viewer_id))


class FollowQuerySet(models.QuerySet["Follow"]):
    def followers_visible_to(self, viewer_id: int | None) -> Self:
        """Those whose follower the viewer may see, with that member's name and picture."""
        return self._showing(viewer_id, "follower")

    def followed_visible_to(self, viewer_id: int | None) -> Self:
        """Those whose followed member the viewer may see, with that member's name and picture."""
        return self._showing(viewer_id, "followed")

    def _showing(self, viewer_id: int | None, side: str) -> Self:
        shown = [f"{side}__{name}" for name in ("username", "display_name", "avatar_url")]
        return (
            self.filter(member_visible_to(viewer_id, side))
            .select_related(side)
            .only("created_at", *shown)
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
        return f"{self.follower_id} follows {self.followed_id}"


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
        return f"{self.blocker_id} blocks {self.blocked_id}"
