from django.db import migrations
from django.db.models import OuterRef, Subquery

from accounts.roles import ADMIN, MODERATOR, grant_permissions, make_permission_names

BATCH_SIZE = 1000


def copy_hidden_reviews(apps, schema_editor):
    hidden_reviews = apps.get_model("social", "HiddenReview").objects
    hidden = apps.get_model("social", "Rating").objects.filter(hidden_at__isnull=False)
    rows = [
        hidden_reviews.model(user_id=user_id, movie_id=movie_id, hidden_at=hidden_at)
        for user_id, movie_id, hidden_at in hidden.values_list("user_id", "movie_id", "hidden_at")
    ]
    hidden_reviews.bulk_create(rows, batch_size=BATCH_SIZE, ignore_conflicts=True)


def copy_reported_reviews(apps, schema_editor):
    """Copy the reviews as they are now: what they were when they were reported is not known."""
    ratings = apps.get_model("social", "Rating").objects.filter(pk=OuterRef("rating_id"))
    reports = apps.get_model("social", "ReviewReport").objects
    reports.filter(author=None, rating__isnull=False).update(
        author_id=Subquery(ratings.values("user_id")),
        movie_id=Subquery(ratings.values("movie_id")),
        review=Subquery(ratings.values("review")),
        contains_spoilers=Subquery(ratings.values("contains_spoilers")),
    )


def grant_hidden_reviews(apps, schema_editor):
    # Showing a review again is a change.
    permissions = make_permission_names("social", "hiddenreview", "view", "change")
    for role in (MODERATOR, ADMIN):
        grant_permissions(apps, role, *permissions)


class Migration(migrations.Migration):
    dependencies = [("social", "0010_moderation_indexes")]

    operations = [
        migrations.RunPython(copy_hidden_reviews, migrations.RunPython.noop),
        migrations.RunPython(copy_reported_reviews, migrations.RunPython.noop),
        migrations.RunPython(grant_hidden_reviews, migrations.RunPython.noop),
    ]
