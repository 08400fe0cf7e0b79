"""Users with their profiles, their sessions and the addresses they have logged in from."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, Func, OuterRef, Q, Value
from django.db.models.functions import Lower, Now
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.validators import validate_member_username, validate_username
from nexus.core.db.lookups import without_case
from nexus.core.validators import validate_line, validate_public_url, validate_text

USERNAME_TAKEN = "A user with that username already exists."
EMAIL_TAKEN = "A user with that e-mail address already exists."


class Visibility(models.TextChoices):
    PUBLIC = "public"
    PRIVATE = "private"


class UserQuerySet(models.QuerySet["User"]):
    def update(self, **changes: Any) -> int:
        """Update the users. Deactivating them ends their sessions, as in `User.save`."""
        if changes.get("is_active") is not False:
            return super().update(**changes)
        with transaction.atomic(using=self.db):
            # Locked before the update: afterwards, this queryset may not select them any more.
            user_ids = list(self.select_for_update(no_key=True).values_list("pk", flat=True))
            count = super().update(**changes)
            end_sessions(user_ids)
        return count


class UserManager(DjangoUserManager["User"]):
    use_in_migrations = False

    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user with this username in any case, by which `createsuperuser` finds a taken one."""
        return self.get(username__lower=without_case(username or ""))

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **fields: Any
    ) -> User:
        """Create a superuser. Raises ValidationError, which `createsuperuser` shows.

        The operator vouches for the address: it counts as verified.
        """
        fields.setdefault("email_verified", bool(email))
        user = User(username=username, email=email or "", is_staff=True, **fields)
        user.full_clean(exclude={"password"})
        return super().create_superuser(username, email, password, **fields)


class User(AbstractUser):
    class Origin(models.TextChoices):
        REGISTERED = "registered", "registered"
        GUEST = "guest", "guest, not registered yet"
        SAMPLE = "sample", "made-up sample member"
        MOVIELENS = "movielens", "imported from MovieLens"

    username = models.CharField(
        max_length=150,
        validators=[validate_username],
        unique=True,
        help_text="Letters, digits and _ . + - , compared without case.",
        error_messages={"unique": USERNAME_TAKEN},
    )
    email = models.EmailField(blank=True)
    #: Whether the user has opened the link of a mail to `email`. Others may have it unverified.
    email_verified = models.BooleanField(default=False, db_default=False)
    #: The address that replaces `email` when it is verified.
    pending_email = models.EmailField(blank=True, default="", db_default="")
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.REGISTERED)

    display_name = models.CharField(max_length=100, blank=True, validators=[validate_line])
    bio = models.TextField(max_length=1000, blank=True, validators=[validate_text])
    avatar_url = models.URLField(max_length=500, blank=True, validators=[validate_public_url])
    favorite_genres = models.JSONField(default=list, blank=True)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    #: The BCP 47 tag of the language in which the member reads of movies; empty is English.
    language = models.CharField(max_length=10, blank=True, default="", db_default="")
    #: Where the member watches movies: an ISO 3166-1 code, or empty.
    region = models.CharField(max_length=2, blank=True, default="", db_default="")
    #: TMDb's ids of the services the member subscribes to.
    providers = ArrayField(models.PositiveIntegerField(), default=list, blank=True, db_default=[])

    objects: ClassVar[UserManager] = UserManager()

    class Meta(AbstractUser.Meta):
        abstract = False
        indexes = [
            models.Index(fields=["origin"], name="user_origin"),
            models.Index(Lower("email"), name="user_email_without_case"),
        ]
        constraints = [
            models.UniqueConstraint(
                Lower("username"),
                name="user_username_unique_without_case",
                violation_error_message=USERNAME_TAKEN,
            ),
            # A login with an @ is looked up as an e-mail address.
            models.CheckConstraint(
                condition=~Q(username__contains="@"),
                name="user_username_without_at",
                violation_error_message="A username cannot contain @.",
            ),
            models.UniqueConstraint(
                Lower("email"),
                condition=Q(email_verified=True) & ~Q(email=""),
                name="user_verified_email_unique_without_case",
                violation_error_message=EMAIL_TAKEN,
            ),
            models.CheckConstraint(
                condition=~Q(origin="guest") | Q(visibility="private"),
                name="user_guest_is_private",
                violation_error_message="A guest is private.",
            ),
            models.CheckConstraint(
                condition=Exact(Func("favorite_genres", function="jsonb_typeof"), Value("array")),
                name="user_favorite_genres_is_array",
            ),
        ]

    @property
    def is_counted(self) -> bool:
        """Whether public figures and trainings count the user's ratings: build_counted_filter()."""
        return self.is_active and (
            self.visibility == Visibility.PUBLIC or self.origin == self.Origin.MOVIELENS
        )

    @property
    def is_guest(self) -> bool:
        return self.origin == self.Origin.GUEST

    @property
    def guest_expires_at(self) -> datetime | None:
        """When a guest is refused and deleted; None for everybody else."""
        lifetime: timedelta = settings.GUEST_LIFETIME
        return self.date_joined + lifetime if self.is_guest else None

    @property
    def email_to_verify(self) -> str:
        """The address that the next verification mail goes to; empty if there is none."""
        return self.pending_email or ("" if self.email_verified else self.email)

    def clean(self) -> None:
        super().clean()
        # A member who has such a name from before must stay editable.
        if self._state.adding and not self.is_staff:
            try:
                validate_member_username(self.username)
            except ValidationError as error:
                raise ValidationError({"username": error}) from None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the user. Deactivating them ends their sessions, so that reactivating revives none."""
        with transaction.atomic():
            super().save(*args, **kwargs)
            if not self.is_active:
                end_sessions([self.pk])


def end_sessions(user_ids: Collection[int]) -> None:
    """End all sessions of these users, those of the admin too, and their personal access tokens."""
    TokenFamily.objects.filter(user_id__in=user_ids).revoke()
    PersonalAccessToken.objects.filter(user_id__in=user_ids).delete()
    keys = {str(user_id) for user_id in user_ids}
    # Few: only staff have sessions of the admin. Their users stand in them in encoded form.
    for session in Session.objects.iterator():
        if session.get_decoded().get(SESSION_KEY) in keys:
            session.delete()


def build_counted_filter(member: str = "") -> Q:
    """Return the condition that public figures and trainings count a user's ratings.

    The user must be active and public. MovieLens's members have no public profile here, but their
    ratings are published and are imported to be counted.

    `member` is the name of the foreign key to the user. It is empty if the filtered model is User.
    """
    path = f"{member}__" if member else ""
    return Q(**{f"{path}is_active": True}) & (
        Q(**{f"{path}visibility": Visibility.PUBLIC})
        | Q(**{f"{path}origin": User.Origin.MOVIELENS})
    )


class TokenFamilyQuerySet(models.QuerySet["TokenFamily"]):
    def active(self) -> Self:
        """Select the sessions that a refresh token can still continue."""
        now = timezone.now()
        idle_limit: timedelta = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
        return self.filter(revoked_at=None, expires_at__gt=now, last_used_at__gt=now - idle_limit)

    def revoke(self) -> int:
        """End the sessions that have not ended yet; return how many those were."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now())


class TokenFamily(models.Model):
    """A session: all tokens that descend from one login."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="token_families")
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(auto_now_add=True)
    #: Refreshing does not extend the session beyond this.
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = TokenFamilyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "token families"

    def __str__(self) -> str:
        return f"Session {self.pk}"


class SpentRefreshTokenQuerySet(models.QuerySet["SpentRefreshToken"]):
    def repeatable(self) -> Self:
        """Select the tokens that may be presented again: spent just now, with an unused successor."""
        successor_uses = SpentRefreshToken.objects.filter(jti=OuterRef("successor_jti"))
        return self.filter(
            ~Exists(successor_uses),
            successor_jti__isnull=False,
            spent_at__gt=Now() - settings.REFRESH_REPEAT_INTERVAL,
        )


class SpentRefreshToken(models.Model):
    """A refresh token that was used. Its primary key lets only one of two requests use it.

    The row determines the token that replaced it (accounts.tokens), so that this is not stored.
    """

    jti = models.CharField(max_length=64, primary_key=True)
    family = models.ForeignKey(TokenFamily, models.CASCADE, related_name="spent_tokens")
    #: By the clock of the database, because the clocks of two servers may differ by a minute.
    spent_at = models.DateTimeField(db_default=Now(), editable=False)
    #: None if a release without successors has spent the token: that successor is not known.
    successor_jti = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001

    objects = SpentRefreshTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return self.jti


class PersonalAccessToken(models.Model):
    """A token that a member has created for a program, as a hash (accounts.access_tokens)."""

    class Scope(models.TextChoices):
        READ = "read"
        WRITE = "write"
        SCROBBLE = "scrobble"

    user = models.ForeignKey(User, models.CASCADE, related_name="personal_access_tokens")
    name = models.CharField(max_length=100, validators=[validate_line])
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__len__gt=0), name="personal_access_token_has_scope"
            )
        ]

    def __str__(self) -> str:
        # The admin's log stores it, and the name is the member's.
        return f"Personal access token {self.pk}"

    @property
    def granted_scopes(self) -> set[str]:
        """The scopes of the token and those they include."""
        scopes = set(self.scopes)
        return scopes | {self.Scope.READ} if self.Scope.WRITE in scopes else scopes


class KnownAddress(models.Model):
    """A client address that a member has logged in from, as a hash (`hash_address`).

    Attackers at other addresses cannot lock the member out there (accounts.password_checks).
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="known_addresses", db_index=False)
    digest = models.CharField(max_length=64)
    last_login_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "known addresses"
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="known_address_unique")
        ]

    def __str__(self) -> str:
        return f"Known address {self.pk}"

    @staticmethod
    def hash_address(user_id: int, address: str) -> str:
        """Return a hash with a secret key: without one, hashing all addresses takes hours."""
        digest = salted_hmac("accounts.KnownAddress", f"{user_id} {address}", algorithm="sha256")
        return digest.hexdigest()
