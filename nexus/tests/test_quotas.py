"""Every table of a member's rows has a quota (docs/reliability.md, 23)."""

import re
from pathlib import Path

from django.apps import apps
from django.conf import settings

from accounts.models import User

#: The quotas that bound each table with a key to a member, or to a row with one.
QUOTAS = {
    "accounts.PersonalAccessToken": ["access_tokens"],
    "accounts.TokenFamily": ["sessions"],
    "accounts.SpentRefreshToken": ["spent_tokens"],
    "accounts.KnownAddress": ["known_addresses"],
    "social.Rating": ["ratings", "reviews"],
    "social.ReviewReport": ["reports"],
    "social.WatchlistItem": ["watchlist_items"],
    "social.Viewing": ["viewings", "viewing_notes"],
    "social.Follow": ["follows"],
    "social.Block": ["blocks"],
    "social.Playlist": ["playlists"],
    "social.PlaylistItem": ["playlist_items", "all_playlist_items"],
    "social.GroupMembership": ["groups"],
    "social.GroupVote": ["group_votes"],
    "social.Import": ["imports"],
    "social.ImportRow": ["import_rows"],
    "social.ImportFilePiece": ["imports"],
    "recommendations.Feedback": ["feedback"],
}
EXCUSED = {
    "accounts.User_groups": "written by admins",
    "accounts.User_user_permissions": "written by admins",
    "admin.LogEntry": "written for staff",
    "social.HiddenReview": "written by moderators, once a member and movie",
    "social.CalendarFeed": "one a member",
    "social.Export": "one a member, deleted after 15 minutes",
    "social.ExportPiece": "a piece of the one export of a member",
}


def list_owned_models():
    """Return the models whose rows belong to a member, directly or through another owned row."""
    owned, models = {User}, apps.get_models(include_auto_created=True)
    while True:
        more = {
            model
            for model in models
            if model not in owned
            and any((field.is_relation and field.many_to_one and field.related_model in owned)
                    or (field.one_to_one and field.related_model in owned)
                    for field in model._meta.concrete_fields)
        }  # fmt: skip
        if not more:
            return owned - {User}
        owned |= more


def test_every_table_of_members_rows_has_a_quota_or_an_excuse():
    labels = {model._meta.label for model in list_owned_models()}

    assert labels - EXCUSED.keys() == set(QUOTAS)


def test_every_quota_bounds_a_table_and_is_documented():
    named = {name for names in QUOTAS.values() for name in names}
    clients = Path(settings.BASE_DIR, "docs", "clients.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", clients, re.M))

    assert named == set(settings.MEMBER_QUOTAS)
    assert documented == {name: f"{quota:,}" for name, quota in settings.MEMBER_QUOTAS.items()}
