"""Users, credentials, tokens and sessions in requests and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from rest_framework import serializers

from accounts.models import (
    EMAIL_TAKEN,
    USERNAME_TAKEN,
    PersonalAccessToken,
    TokenFamily,
    User,
    Visibility,
)
from accounts.selectors import is_email_taken
from accounts.validators import validate_member_username, validate_username
from nexus.core.api.exceptions import field_error
from nexus.core.api.fields import (
    LanguageField,
    LineField,
    StrictCharField,
    TextField,
    UTCDateTimeField,
)
from nexus.core.db.lookups import without_case
from nexus.core.genres import GENRE_NAMES, find_genre, sort_genres
from nexus.core.validators import validate_public_url

EMAIL_READ_ONLY = "The address cannot be changed here. Use POST /auth/email/change/."
# Hashing a longer password takes longer.
MAX_PASSWORD_LENGTH = 256


class SecretField(StrictCharField):
    """A password or a token: spaces count, and no response contains it."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", MAX_PASSWORD_LENGTH)
        super().__init__(trim_whitespace=False, write_only=True, **kwargs)


def _validate_free_email(value: str) -> str:
    """Return the address. Raises ValidationError if a user has verified it."""
    if is_email_taken(value):
        raise serializers.ValidationError(EMAIL_TAKEN, code="unique")
    return value


class RegisterSerializer(serializers.Serializer[Any]):
    username = StrictCharField(
        max_length=150,
        validators=[validate_username, validate_member_username],
        help_text="Letters, digits and _ . + - , compared without case.",
    )
    email = serializers.EmailField(max_length=254)
    password = SecretField()
    password_confirm = SecretField(required=False, help_text="If sent, it must equal password.")

    class Meta:
        swagger_schema_fields = {
            "example": {"username": "ann", "email": "ann@example.org", "password": "blue-kettle-42"}
        }

    def validate_username(self, value: str) -> str:
        if User.objects.filter(username__lower=without_case(value)).exists():
            raise serializers.ValidationError(USERNAME_TAKEN, code="unique")
        return value

    def validate_email(self, value: str) -> str:
        return _validate_free_email(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        confirmation = attrs.pop("password_confirm", attrs["password"])
        if confirmation != attrs["password"]:
            raise field_error("password_confirm", "The two passwords are different.", "mismatch")
        try:
            user = User(username=attrs["username"], email=attrs["email"])
            validate_password(attrs["password"], user)
        except DjangoValidationError as error:
            raise field_error("password", error.messages, "weak_password") from error
        return attrs


class GuestRegisterSerializer(RegisterSerializer):
    """The body with which a guest becomes a member."""


class CredentialsSerializer(serializers.Serializer[Any]):
    username = StrictCharField(
        max_length=254, help_text="The username or the verified e-mail address."
    )
    password = SecretField()

    class Meta:
        swagger_schema_fields = {"example": {"username": "ann", "password": "blue-kettle-42"}}


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = SecretField(max_length=4096)

    class Meta:
        swagger_schema_fields = {"example": {"refresh": "the refresh token of the last response"}}


class TokenSerializer(serializers.Serializer[Any]):
    token = SecretField(max_length=4096)

    class Meta:
        swagger_schema_fields = {"example": {"token": "an access or a refresh token"}}


class PasswordSerializer(serializers.Serializer[Any]):
    password = SecretField()

    class Meta:
        swagger_schema_fields = {"example": {"password": "blue-kettle-42"}}


class PasswordChangeSerializer(serializers.Serializer[Any]):
    old_password = SecretField()
    new_password = SecretField()

    class Meta:
        swagger_schema_fields = {
            "example": {"old_password": "blue-kettle-42", "new_password": "quiet-lantern-77"}
        }

    def validate_new_password(self, value: str) -> str:
        try:
            validate_password(value, self.context["request"].user)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages, code="weak_password") from error
        return value


class PasswordResetSerializer(serializers.Serializer[Any]):
    email = StrictCharField(max_length=254)

    class Meta:
        swagger_schema_fields = {"example": {"email": "ann@example.org"}}

    def validate_email(self, value: str) -> str:
        if "@" not in value:
            raise serializers.ValidationError("Enter a valid email address.")
        return value


class PasswordResetConfirmSerializer(serializers.Serializer[Any]):
    uid = StrictCharField(max_length=64, help_text="The uid in the mail.")
    token = SecretField(max_length=100, help_text="The token in the mail. It works once.")
    new_password = SecretField()

    class Meta:
        swagger_schema_fields = {
            "example": {
                "uid": "the mail's uid",
                "token": "the mail's token",
                "new_password": "quiet-lantern-77",
            }
        }


class EmailVerificationSerializer(serializers.Serializer[Any]):
    uid = StrictCharField(max_length=64, help_text="The uid in the mail.")
    token = SecretField(max_length=100, help_text="The token in the mail. It works once.")

    class Meta:
        swagger_schema_fields = {"example": {"uid": "the mail's uid", "token": "the mail's token"}}


class EmailChangeSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    password = SecretField()

    class Meta:
        swagger_schema_fields = {
            "example": {"email": "ann@example.net", "password": "blue-kettle-42"}
        }

    def validate_email(self, value: str) -> str:
        user = self.context["request"].user
        return value if value.lower() == user.email.lower() else _validate_free_email(value)


class SessionSerializer(serializers.ModelSerializer[TokenFamily]):
    """A session: all tokens that descend from one login."""

    created_at = UTCDateTimeField(read_only=True)
    last_used_at = UTCDateTimeField(read_only=True, help_text="The time of its last refresh.")
    expires_at = UTCDateTimeField(
        read_only=True, help_text="The session ends then, however often it is refreshed."
    )
    current = serializers.SerializerMethodField(
        help_text="Whether this request belongs to the session."
    )

    class Meta:
        model = TokenFamily
        fields = ("id", "user_agent", "created_at", "last_used_at", "expires_at", "current")
        read_only_fields = fields

    def get_current(self, family: TokenFamily) -> bool:
        # The view passes the session of the request's token.
        return str(family.id) == self.context.get("session_id")


class AccessTokenWriteSerializer(serializers.Serializer[Any]):
    name = LineField(max_length=100, help_text="What the token is for.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=PersonalAccessToken.Scope.values),
        allow_empty=False,
        max_length=len(PersonalAccessToken.Scope),
        help_text="`write` includes `read`.",
    )
    expires_at = UTCDateTimeField(
        required=False, allow_null=True, help_text="Without it the token does not expire."
    )

    class Meta:
        swagger_schema_fields = {"example": {"name": "Living room", "scopes": ["scrobble"]}}

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("Choose a time in the future.", code="in_the_past")
        return value


class AccessTokenSerializer(serializers.ModelSerializer[PersonalAccessToken]):
    """A personal access token without the token itself."""

    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=PersonalAccessToken.Scope.values), read_only=True
    )
    created_at = UTCDateTimeField(read_only=True)
    last_used_at = UTCDateTimeField(
        read_only=True, allow_null=True, help_text="To the minute; null if it was never used."
    )
    expires_at = UTCDateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = PersonalAccessToken
        fields = ("id", "name", "scopes", "created_at", "last_used_at", "expires_at")
        read_only_fields = fields


class CreatedAccessTokenSerializer(AccessTokenSerializer):
    """A personal access token in the response to its creation, the only one that contains it."""

    token = serializers.SerializerMethodField(help_text="Shown once. Store it now.")

    class Meta(AccessTokenSerializer.Meta):
        fields = (*AccessTokenSerializer.Meta.fields, "token")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]

    def get_token(self, row: PersonalAccessToken) -> str:
        # The view passes it, because it is not stored.
        return str(self.context["token"])


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="Sent as `Authorization: Bearer <access>`.")
    refresh = serializers.CharField(
        help_text="Works once: it is exchanged for a new pair. Repeated within 10 seconds and before the "
        "new one is used, it gets the same new one again."
    )


class RegisteredUserSerializer(serializers.ModelSerializer[User]):
    date_joined = UTCDateTimeField(read_only=True)
    email = serializers.CharField(read_only=True, help_text="Empty for guests.")
    is_guest = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = ("id", "username", "email", "email_verified", "date_joined", "is_guest")
        read_only_fields = fields


class RegisteredSerializer(serializers.Serializer[Any]):
    user = RegisteredUserSerializer()
    access = serializers.CharField()
    refresh = serializers.CharField()


class GuestSerializer(RegisteredSerializer):
    expires_at = UTCDateTimeField(
        help_text="The guest and all it owns is deleted then, unless it registers."
    )


class EmptySerializer(serializers.Serializer[Any]):
    """An empty object."""


class ProfileWriteSerializer(serializers.Serializer[Any]):
    """The body of PUT and PATCH: omitted fields stay the same."""

    email = StrictCharField(
        max_length=254,
        allow_blank=True,
        required=False,
        help_text="Read only: POST /auth/email/change/ changes it. Another value is rejected.",
    )
    display_name = LineField(max_length=100, allow_blank=True, required=False)
    bio = TextField(max_length=1000, allow_blank=True, required=False)
    avatar_url = StrictCharField(
        max_length=500,
        allow_blank=True,
        required=False,
        validators=[validate_public_url],
        help_text="An https URL without credentials. The server never fetches it.",
    )
    favorite_genres = serializers.ListField(
        child=StrictCharField(max_length=40),
        max_length=len(GENRE_NAMES),
        required=False,
        help_text="Names of genres, as in /genres/.",
    )
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False)
    language = LanguageField(
        allow_blank=True,
        required=False,
        help_text="BCP 47, such as `de` or `pt-BR`: the language of movies in responses about the "
        "member. Empty is English.",
    )

    class Meta:
        swagger_schema_fields = {
            "example": {
                "display_name": "Ann",
                "bio": "Mostly at the late show.",
                "favorite_genres": ["Drama", "Crime"],
                "visibility": "public",
                "language": "de",
            }
        }

    def validate_email(self, value: str) -> str:
        if value != self.context["request"].user.email:
            raise serializers.ValidationError(EMAIL_READ_ONLY, code="read_only")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs.pop("email", None)
        return attrs

    def validate_favorite_genres(self, value: list[str]) -> list[str]:
        genres = []
        for name in value:
            genre = find_genre(name)
            if genre is None:
                message = f"Unknown genre {name!r}. Genres: {', '.join(GENRE_NAMES)}."
                raise serializers.ValidationError(message)
            genres.append(genre)
        return sort_genres(genres)


class ProfileSerializer(serializers.ModelSerializer[User]):
    """The caller's own profile.

    social.views.members sets `followers` and `following` on the user.
    """

    avatar_url = serializers.CharField(read_only=True)
    favorite_genres = serializers.ListField(child=serializers.CharField(), read_only=True)
    region = serializers.CharField(
        read_only=True, help_text="ISO 3166-1 code of where the member watches, or empty."
    )
    providers = serializers.ListField(
        child=serializers.IntegerField(), read_only=True, help_text="TMDb's ids of providers."
    )
    date_joined = UTCDateTimeField(read_only=True)
    email = serializers.CharField(read_only=True, help_text="Empty for guests.")
    is_guest = serializers.BooleanField(read_only=True)
    followers = serializers.IntegerField(read_only=True)
    following = serializers.IntegerField(read_only=True)

    class Meta:
        model = User
        fields = (
            "id",
            "username",
            "email",
            "email_verified",
            "display_name",
            "bio",
            "avatar_url",
            "favorite_genres",
            "region",
            "providers",
            "visibility",
            "language",
            "date_joined",
            "is_guest",
            "followers",
            "following",
        )
        read_only_fields = fields
