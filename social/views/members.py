"""Members over HTTP: profiles, statistics, following, blocking and the feed."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.password_checks import confirm_password
from accounts.serializers import PasswordSerializer
from accounts.views import ProfileViewSet
from nexus.core.api.exceptions import field_error
from nexus.core.api.pagination import paginate, paginate_after_cursor
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import ApiViewSet, PageOf, contract
from social.filters import (
    FOLLOWS_NEWEST_FIRST,
    PLAYLIST_ORDERINGS,
    RATING_ORDERINGS,
    FeedQuery,
    MemberPlaylistsQuery,
    RatingListQuery,
    StatsQuery,
    filter_playlists,
    filter_ratings,
)
from social.models import Block, Follow, Playlist, Rating
from social.selectors.feed import get_feed_page
from social.selectors.members import count_follows, get_member, get_profile, get_visible_member
from social.selectors.playlists import get_playlist_previews
from social.selectors.stats import get_member_stats
from social.serializers.members import (
    BlockSerializer,
    FeedEventSerializer,
    FollowedSerializer,
    FollowerSerializer,
    PublicProfileSerializer,
)
from social.serializers.playlists import PlaylistSerializer
from social.serializers.ratings import PublicRatingSerializer
from social.serializers.stats import StatsSerializer
from social.services.account_deletion import account_delete
from social.services.follows import block_remove, block_set, follow_remove, follow_set
from social.views.callers import member, shown_playlists

ONESELF = "This is the caller."


def _ratings(rows: list[Any]) -> Any:
    return PublicRatingSerializer(rows, many=True).data


def _followers(rows: list[Any]) -> Any:
    return FollowerSerializer(rows, many=True).data


def _followed(rows: list[Any]) -> Any:
    return FollowedSerializer(rows, many=True).data


def _blocks(rows: list[Any]) -> Any:
    return BlockSerializer(rows, many=True).data


class MemberViewSet(ApiViewSet):
    """A member's public side. Who may not see them gets 404 throughout."""

    permission_classes = [IsAuthenticatedOrReadOnly]

    def _member(self, username: str) -> User:
        return get_visible_member(username=username, viewer_id=self.request.user.pk)

    @contract(responses={200: PublicProfileSerializer})
    def retrieve(self, request: Request, username: str) -> Response:
        """A member's profile, if it is public or the caller's own; the name in any case."""
        profile = get_profile(username=username, viewer_id=request.user.pk)
        return Response(PublicProfileSerializer(profile).data)

    @contract(query=StatsQuery, responses={200: StatsSerializer})
    def stats(self, request: Request, username: str) -> Response:
        """A member's ratings and viewings in numbers."""
        stats = get_member_stats(user_id=self._member(username).pk, **self.query)
        return Response(StatsSerializer(stats).data)

    @contract(query=RatingListQuery, responses={200: PageOf(PublicRatingSerializer)})
    def ratings(self, request: Request, username: str) -> Response:
        """A member's ratings, with their reviews."""
        theirs = Rating.objects.with_movie_and_author().filter(user_id=self._member(username).pk)
        ratings = filter_ratings(theirs, self.query)
        ordering = RATING_ORDERINGS[self.query["ordering"]]
        return paginate(request, self.query, ratings, ordering, _ratings)

    @contract(query=MemberPlaylistsQuery, responses={200: PageOf(PlaylistSerializer)})
    def playlists(self, request: Request, username: str) -> Response:
        """A member's public playlists; all of them where they are the caller's."""
        viewer_id = request.user.pk
        theirs = Playlist.objects.listed_for(viewer_id).with_owner()
        theirs = theirs.filter(owner_id=self._member(username).pk)
        playlists = filter_playlists(theirs, self.query)
        ordering = PLAYLIST_ORDERINGS[self.query["ordering"]]
        return paginate(request, self.query, playlists, ordering, shown_playlists(request))

    @contract(query=PageQuery, responses={200: PageOf(FollowerSerializer)})
    def followers(self, request: Request, username: str) -> Response:
        """Who follows a member, latest first, of those whom the caller may see."""
        follows = Follow.objects.followers_visible_to(request.user.pk)
        follows = follows.filter(followed_id=self._member(username).pk)
        return paginate(request, self.query, follows, FOLLOWS_NEWEST_FIRST, _followers)

    @contract(query=PageQuery, responses={200: PageOf(FollowedSerializer)})
    def following(self, request: Request, username: str) -> Response:
        """Whom a member follows, latest first, of those whom the caller may see."""
        follows = Follow.objects.followed_visible_to(request.user.pk)
        follows = follows.filter(follower_id=self._member(username).pk)
        return paginate(request, self.query, follows, FOLLOWS_NEWEST_FIRST, _followed)


class FollowViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        responses={204: None},
        errors={403: ONESELF, 409: "The caller follows as many members as one may."},
    )
    def update(self, request: Request, username: str) -> Response:
        """Follow a member; again is the same."""
        followed = get_member(username=username)
        follow_set(follower_id=member(request).pk, followed_id=followed.pk)
        return Response(status=204)

    @contract(responses={204: None})
    def destroy(self, request: Request, username: str) -> Response:
        """Follow a member no more, even one who has gone private since; again is the same."""
        caller, followed = member(request), get_member(username=username)
        if not follow_remove(follower_id=caller.pk, followed_id=followed.pk):
            get_visible_member(username=username, viewer_id=caller.pk)
        return Response(status=204)


class BlockViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=PageQuery, responses={200: PageOf(BlockSerializer)})
    def list(self, request: Request) -> Response:
        """Whom the caller has blocked, latest first."""
        blocks = Block.objects.filter(blocker_id=member(request).pk).select_related("blocked")
        blocks = blocks.only("created_at", "blocked__username")
        return paginate(request, self.query, blocks, FOLLOWS_NEWEST_FIRST, _blocks)

    @contract(responses={204: None}, errors={403: ONESELF})
    def update(self, request: Request, username: str) -> Response:
        """Block a member: neither sees anything of the other, and neither follows the other."""
        blocked = get_member(username=username)
        block_set(blocker_id=member(request).pk, blocked_id=blocked.pk)
        return Response(status=204)

    @contract(responses={204: None})
    def destroy(self, request: Request, username: str) -> Response:
        """Lift a block; what following it ended stays ended."""
        caller, blocked = member(request), get_member(username=username)
        if not block_remove(blocker_id=caller.pk, blocked_id=blocked.pk):
            get_visible_member(username=username, viewer_id=caller.pk)
        return Response(status=204)


class FeedViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=FeedQuery, responses={200: PageOf(FeedEventSerializer)})
    def list(self, request: Request) -> Response:
        """What those whom the caller follows rated, reviewed and published, newest first."""
        caller = member(request)
        feed = get_feed_page(
            user_id=caller.pk, after=self.query["after"], limit=self.query["page_size"]
        )
        lists = [event.playlist for event in feed.events if event.playlist is not None]
        context = {"looks": get_playlist_previews(lists, viewer_id=caller.pk)}
        return paginate_after_cursor(
            request,
            count=feed.count,
            results=list(FeedEventSerializer(feed.events, many=True, context=context).data),
            position=feed.end.to_cursor() if feed.end else None,
        )


class StatsViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=StatsQuery, responses={200: StatsSerializer})
    def retrieve(self, request: Request) -> Response:
        """The caller's ratings and viewings in numbers.

        A film that was rated and never noted as seen counts as seen once, when it was rated.
        """
        stats = get_member_stats(user_id=member(request).pk, **self.query)
        return Response(StatsSerializer(stats).data)


class MeViewSet(ProfileViewSet):
    """The caller's profile, which accounts owns, with what social knows of it, and leaving."""

    def get_object(self) -> User:
        user = super().get_object()
        for name, count in vars(count_follows(member_id=user.pk, viewer_id=user.pk)).items():
            setattr(user, name, count)
        return user

    @contract(
        body=PasswordSerializer,
        responses={204: None},
        errors={400: "The password is missing or wrong."},
    )
    def destroy(self, request: Request) -> Response:
        """Delete the account and everything it owns."""
        user = member(request)
        password = self.body["password"]
        if not confirm_password(request._request, user=user, password=password):
            raise field_error("password", "This is not the account's password.", "wrong_password")
        account_delete(user=user)
        return Response(status=204)
