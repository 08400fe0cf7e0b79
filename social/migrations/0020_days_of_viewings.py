import django.core.validators
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

import nexus.core.validators

# The previous release does not know the day. Its viewings get it from this trigger, while containers
# are replaced; the next release can drop it.
SET_DAY = """
CREATE FUNCTION social_viewing_set_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.watched_on := (NEW.watched_at AT TIME ZONE 'UTC')::date;
    RETURN NEW;
END
$$;
CREATE TRIGGER social_viewing_set_day BEFORE INSERT ON social_viewing FOR EACH ROW
WHEN (NEW.watched_on IS NULL AND NEW.watched_at IS NOT NULL)
EXECUTE FUNCTION social_viewing_set_day();
"""
DROP_SET_DAY = """
DROP TRIGGER social_viewing_set_day ON social_viewing;
DROP FUNCTION social_viewing_set_day();
"""


class Migration(migrations.Migration):
    """Viewings of which only the day is known, or not even that, and their notes."""

    dependencies = [("social", "0019_prepared_exports")]

    operations = [
        migrations.AddField("viewing", "watched_on", models.DateField(null=True)),
        migrations.AddField(
            "viewing",
            "note",
            models.TextField(
                blank=True,
                db_default="",
                default="",
                validators=[
                    django.core.validators.MaxLengthValidator(10000),
                    nexus.core.validators.validate_text,
                ],
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE social_viewing ALTER COLUMN watched_at DROP NOT NULL",
            migrations.RunSQL.noop,
            state_operations=[
                migrations.AlterField("viewing", "watched_at", models.DateTimeField(null=True))
            ],
        ),
        migrations.RunSQL(SET_DAY, DROP_SET_DAY),
        AddConstraintNotValid(
            model_name="viewing",
            constraint=models.CheckConstraint(
                condition=models.Q(watched_at__isnull=True) | models.Q(watched_on__isnull=False),
                name="viewing_moment_has_day",
            ),
        ),
    ]
