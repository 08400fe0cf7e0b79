from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    """A rating may be a review alone. It is not counted, so the previous release leaves it alone too."""

    dependencies = [("social", "0023_groups")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE social_rating ALTER COLUMN score DROP NOT NULL",
            migrations.RunSQL.noop,
            state_operations=[
                migrations.AlterField(
                    "rating",
                    "score",
                    models.FloatField(
                        blank=True, null=True, verbose_name="stars, 1 to 5 in halves"
                    ),
                )
            ],
        ),
        AddConstraintNotValid(
            model_name="rating",
            constraint=models.CheckConstraint(
                condition=models.Q(score__isnull=False) | ~models.Q(review=""),
                name="rating_score_or_review",
            ),
        ),
        AddConstraintNotValid(
            model_name="rating",
            constraint=models.CheckConstraint(
                condition=models.Q(score__isnull=False) | models.Q(is_counted=False),
                name="rating_counted_has_score",
            ),
        ),
    ]
