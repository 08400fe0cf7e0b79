"""Groups of members who choose a movie together, and their votes.

The member who joined first owns a group. Nothing stores the owner, so that the next one inherits as
soon as the owner leaves.
"""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from movies.models import Movie
from nexus.core.validators import validate_line

MAX_GROUP_NAME_LENGTH = 100
MIN_GROUP_MEMBERS, MAX_GROUP_MEMBERS = 2, 10
JOIN_CODE_LENGTH = 10


class MovieGroup(models.Model):
    name = models.CharField(max_length=MAX_GROUP_NAME_LENGTH, validators=[validate_line])
    join_code = models.CharField(max_length=JOIN_CODE_LENGTH, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="movie_group_name_not_empty")
        ]

    def __str__(self) -> str:
        return f"Group {self.pk}"


class GroupMembershipQuerySet(models.QuerySet["GroupMembership"]):
    def present(self) -> Self:
        """Keep the memberships of active members, the oldest membership first.

        Deactivated members and guests whose time is over are not present, but keep their place.
        """
        expired = Q(
            user__origin=User.Origin.GUEST,
            user__date_joined__lte=timezone.now() - settings.GUEST_LIFETIME,
        )
        return self.filter(~expired, user__is_active=True).order_by("joined_at", "id")


class GroupMembership(models.Model):
    group = models.ForeignKey(
        MovieGroup, models.CASCADE, related_name="memberships", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="group_memberships", db_index=False
    )
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = GroupMembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "user"], name="group_membership_once")
        ]
        indexes = [
            models.Index(fields=["user", "-joined_at", "-id"], name="group_membership_by_user")
        ]

    def __str__(self) -> str:
        return f"Group membership {self.pk}"


class GroupVote(models.Model):
    class Vote(models.TextChoices):
        YES = "yes"
        VETO = "veto"

    #: Who leaves the group takes their votes along.
    membership = models.ForeignKey(
        GroupMembership, models.CASCADE, related_name="votes", db_index=False
    )
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="group_votes")
    vote = models.CharField(max_length=4, choices=Vote)
    voted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["membership", "movie"], name="group_vote_once")
        ]

    def __str__(self) -> str:
        return f"Group vote {self.pk}"
