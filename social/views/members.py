"""Endpoints of members: profiles, statistics, follows, blocks and the feed."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.password_checks import confirm_password, remember_address
from accounts.serializers import (
    GuestRegisterSerializer,
    PasswordSerializer,
    ProfileSerializer,
    RegisteredSerializer,
)
from accounts.views import ProfileViewSet, start_session
from movies.views import LocalizedViewSet
from nexus.core.api.exceptions import field_error
from nexus.core.api.pagination import paginate, paginate_after_cursor
from nexus.core.api.permissions import HasSession, IsNotGuest
from nexus.core.api.query_params import PageQuery
from nexus.core.api.throttling import ScopedThrottle, get_client_address, hit_or_raise
from nexus.core.api.views import ApiViewSet, PageOf, contract
from social.filters import (
    FOLLOWS_NEWEST_FIRST,
    PLAYLIST_ORDERINGS,
    RATING_ORDERINGS,
    ActivityFeedQuery,
    MemberPlaylistsQuery,
    RatingListQuery,
    StatsQuery,
    filter_playlists,
    filter_ratings,
)
from social.models import Block, Follow, Playlist, Rating
from social.selectors.feed import get_feed_page
from social.selectors.members import count_follows, get_member, get_profile, get_visible_member
from social.selectors.stats import get_member_stats
from social.serializers.members import (
    BlockSerializer,
    FeedEventSerializer,
    FollowedSerializer,
    FollowerSerializer,
    MemberProfileWriteSerializer,
    PublicProfileSerializer,
    serialize_feed_events,
)
from social.serializers.playlists import PlaylistSerializer, serialize_playlists
from social.serializers.ratings import PublicRatingSerializer
from social.serializers.stats import StatsSerializer
from social.services.account_deletion import account_delete
from social.services.follows import block_remove, block_set, follow_remove, follow_set
from social.services.members import member_register_guest, member_update

SAME_MEMBER = "The username is the caller's own."


def _serialize_ratings(rows: list[Any]) -> Any:
    return PublicRatingSerializer(rows, many=True).data


def _serialize_followers(rows: list[Any]) -> Any:
    return FollowerSerializer(rows, many=True).data


def _serialize_followed(rows: list[Any]) -> Any:
    return FollowedSerializer(rows, many=True).data


def _serialize_blocks(rows: list[Any]) -> Any:
    return BlockSerializer(rows, many=True).data


class MemberViewSet(LocalizedViewSet):
    """A member as others see them: 404 if the caller may not see this member."""

    permission_classes = [IsAuthenticatedOrReadOnly]

    def _get_member(self, username: str) -> User:
        return get_visible_member(username=username, viewer_id=self.request.user.pk)

    @contract(responses={200: PublicProfileSerializer})
    def retrieve(self, request: Request, username: str) -> Response:
        """Return a member's profile. The username is case-insensitive."""
        profile = get_profile(username=username, viewer_id=request.user.pk)
        return Response(PublicProfileSerializer(profile).data)

    @contract(query=StatsQuery, responses={200: StatsSerializer})
    def stats(self, request: Request, username: str) -> Response:
        """Return the statistics of a member's ratings and viewings."""
        stats = get_member_stats(user_id=self._get_member(username).pk, year=self.query.get("year"))
        return Response(StatsSerializer(stats).data)

    @contract(query=RatingListQuery, responses={200: PageOf(PublicRatingSerializer)})
    def ratings(self, request: Request, username: str) -> Response:
        """List a member's ratings with their reviews."""
        member = self._get_member(username)
        ratings = Rating.objects.with_movie_and_author().filter(user_id=member.pk)
        if member.pk != request.user.pk:
            ratings = ratings.without_hidden()
        ratings = filter_ratings(ratings, self.query)
        ordering = RATING_ORDERINGS[self.query["ordering"]]
        return paginate(request, self.query, ratings, ordering, _serialize_ratings)

    @contract(query=MemberPlaylistsQuery, responses={200: PageOf(PlaylistSerializer)})
    def playlists(self, request: Request, username: str) -> Response:
        """List a member's public playlists; if the member is the caller, all playlists."""
        viewer_id = request.user.pk
        member = self._get_member(username)
        playlists = Playlist.objects.listed_for(viewer_id).with_owner().filter(owner_id=member.pk)
        return paginate(
            request,
            self.query,
            filter_playlists(playlists, self.query),
            PLAYLIST_ORDERINGS[self.query["ordering"]],
            lambda rows: serialize_playlists(rows, viewer_id=viewer_id),
        )

    @contract(query=PageQuery, responses={200: PageOf(FollowerSerializer)})
    def followers(self, request: Request, username: str) -> Response:
        """List the members who follow a member and are visible to the caller, newest first."""
        member = self._get_member(username)
        follows = Follow.objects.followers_visible_to(request.user.pk).filter(followed_id=member.pk)
        return paginate(request, self.query, follows, FOLLOWS_NEWEST_FIRST, _serialize_followers)

    @contract(query=PageQuery, responses={200: PageOf(FollowedSerializer)})
    def following(self, request: Request, username: str) -> Response:
        """List the members whom a member follows and who are visible to the caller, newest first."""
        member = self._get_member(username)
        follows = Follow.objects.followed_visible_to(request.user.pk).filter(follower_id=member.pk)
        return paginate(request, self.query, follows, FOLLOWS_NEWEST_FIRST, _serialize_followed)


class GuestRegistrationViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated, HasSession]
    throttle_classes = [ScopedThrottle]
    throttle_scope = "register"

    @contract(
        body=GuestRegisterSerializer,
        responses={200: RegisteredSerializer},
        errors={403: "The caller is not a guest."},
    )
    def create(self, request: Request) -> Response:
        """Register the guest who sends this: the same account, now with a name and a password.

        The account is public like any new one, and its ratings count in public figures within a
        minute. The sessions of the guest end; the response has a new pair of tokens.
        """
        user = member_register_guest(user_id=self.member_id, **self.body)
        remember_address(request._request, user=user)
        return Response(start_session(request, user=user))


class FollowViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated, IsNotGuest]

    @contract(
        responses={204: None},
        errors={403: SAME_MEMBER, 409: "The caller follows the maximum number of members."},
    )
    def update(self, request: Request, username: str) -> Response:
        """Follow a member. Following a followed member again changes nothing."""
        followed = get_member(username=username)
        follow_set(follower_id=self.member_id, followed_id=followed.pk)
        return Response(status=204)

    @contract(responses={204: None})
    def destroy(self, request: Request, username: str) -> Response:
        """Unfollow a member, even one who has become private since. Repeating it changes nothing."""
        caller_id = self.member_id
        followed = get_member(username=username)
        if not follow_remove(follower_id=caller_id, followed_id=followed.pk):
            # Without a follow, a member who is not visible must look like an unknown one.
            get_visible_member(username=username, viewer_id=caller_id)
        return Response(status=204)


class BlockViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=PageQuery, responses={200: PageOf(BlockSerializer)})
    def list(self, request: Request) -> Response:
        """List the members whom the caller has blocked, newest first."""
        blocks = Block.objects.filter(blocker_id=self.member_id).select_related("blocked")
        blocks = blocks.only("created_at", "blocked__username")
        return paginate(request, self.query, blocks, FOLLOWS_NEWEST_FIRST, _serialize_blocks)

    @contract(
        responses={204: None},
        errors={403: SAME_MEMBER, 409: "A quota is full: `too_many_blocks`."},
    )
    def update(self, request: Request, username: str) -> Response:
        """Block a member. Both become invisible to each other, and follows between them end."""
        blocked = get_member(username=username)
        block_set(blocker_id=self.member_id, blocked_id=blocked.pk)
        return Response(status=204)

    @contract(responses={204: None})
    def destroy(self, request: Request, username: str) -> Response:
        """Unblock a member. The follows that the block ended are not restored."""
        caller_id = self.member_id
        blocked = get_member(username=username)
        if not block_remove(blocker_id=caller_id, blocked_id=blocked.pk):
            # Without a block, a member who is not visible must look like an unknown one.
            get_visible_member(username=username, viewer_id=caller_id)
        return Response(status=204)


class FeedViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=ActivityFeedQuery, responses={200: PageOf(FeedEventSerializer)})
    def list(self, request: Request) -> Response:
        """List what the members whom the caller follows rated, reviewed and published.

        The newest event comes first.
        """
        caller_id = self.member_id
        page = get_feed_page(
            user_id=caller_id, after=self.query["after"], limit=self.query["page_size"]
        )
        return paginate_after_cursor(
            request,
            count=page.count,
            results=serialize_feed_events(page.events, viewer_id=caller_id),
            position=page.end.to_cursor() if page.end else None,
        )


class StatsViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=StatsQuery, responses={200: StatsSerializer})
    def retrieve(self, request: Request) -> Response:
        """Return the statistics of the caller's ratings and viewings.

        A rated movie without a viewing counts as watched once, at the time of its rating.
        """
        stats = get_member_stats(user_id=self.member_id, year=self.query.get("year"))
        return Response(StatsSerializer(stats).data)


class MeViewSet(ProfileViewSet):
    """The caller's profile of the accounts app, with follow counts, changes and account deletion."""

    def get_permissions(self) -> list[Any]:
        first = [HasSession()] if self.action == "destroy" else []
        return [*first, *super().get_permissions()]

    def get_object(self) -> User:
        user = super().get_object()
        for name, count in vars(count_follows(member_id=user.pk, viewer_id=user.pk)).items():
            setattr(user, name, count)
        return user

    @contract(
        body=MemberProfileWriteSerializer,
        responses={200: ProfileSerializer},
        errors={429: "The visibility has changed 5 times within a day."},
    )
    def update(self, request: Request) -> Response:
        """Change the caller's profile. Omitted fields stay the same.

        With `visibility: private` the profile, reviews and lists are hidden at once. Counts, means
        and trends of movies no longer include the caller's ratings within a minute.
        """
        user = member_update(user=self.get_object(), changes=self.body)
        return Response(ProfileSerializer(user).data)

    @contract(
        body=MemberProfileWriteSerializer,
        responses={200: ProfileSerializer},
        errors={429: "The visibility has changed 5 times within a day."},
    )
    def partial_update(self, request: Request) -> Response:
        """Change some fields of the caller's profile."""
        return self.update(request)

    @contract(
        body=PasswordSerializer,
        responses={204: None},
        errors={
            400: "The password is missing or wrong.",
            429: "Too many requests, or too many accounts deleted from this address.",
        },
    )
    def destroy(self, request: Request) -> Response:
        """Delete the account and everything it owns."""
        user = super().get_object()
        password = self.body["password"]
        if not confirm_password(request._request, user=user, password=password):
            raise field_error(
                "password", "This is not the password of the account.", "wrong_password"
            )
        address = get_client_address(request._request)
        hit_or_raise(request, "account_deletion", address)
        account_delete(user=user)
        return Response(status=204)
