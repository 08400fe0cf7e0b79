from datetime import UTC, datetime

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations
from django.db.models.functions import TruncDate, TruncDay

VIEWINGS_PER_UPDATE = 1000
UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


def set_days(apps, schema_editor):
    """Give each viewing its day. One at midnight was a day, and one at the Unix epoch unknown.

    Imports stored days and unknown dates so. Which viewings came from an import is known for 30 days
    only; a member's own request has the microseconds of its moment, unless it sent a day, too.
    """
    viewings = apps.get_model("social", "Viewing").objects
    last_id = 0
    while ids := list(
        viewings.filter(pk__gt=last_id)
        .order_by("pk")
        .values_list("pk", flat=True)[:VIEWINGS_PER_UPDATE]
    ):
        batch = viewings.filter(pk__in=ids, watched_at__isnull=False)
        batch.filter(watched_at=UNKNOWN).update(watched_on=None, watched_at=None)
        batch.filter(watched_on=None).update(watched_on=TruncDate("watched_at", tzinfo=UTC))
        batch.filter(watched_at=TruncDay("watched_at", tzinfo=UTC)).update(watched_at=None)
        last_id = ids[-1]


class Migration(migrations.Migration):
    # Each operation can be repeated after an interruption.
    atomic = False

    dependencies = [("social", "0020_days_of_viewings")]

    operations = [
        migrations.RunPython(set_days, migrations.RunPython.noop),
        ValidateConstraint(model_name="viewing", name="viewing_moment_has_day"),
    ]
