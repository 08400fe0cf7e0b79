import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Moderation by member and movie, and copies of what was reported."""

    dependencies = [
        ("accounts", "0006_rename_users_with_at"),
        ("movies", "0005_fewer_indexes"),
        ("social", "0008_counted_ratings_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="HiddenReview",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hidden_at", models.DateTimeField()),
                (
                    "movie",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="hidden_reviews",
                        to="movies.movie",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="hidden_reviews",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "movie"), name="hidden_review_once")
                ],
            },
        ),
        migrations.AddField(
            "playlist",
            "hidden_at",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            "reviewreport",
            "author",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="reports_received",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            "reviewreport",
            "movie",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="review_reports",
                to="movies.movie",
            ),
        ),
        migrations.AddField("reviewreport", "review", models.TextField(blank=True, db_default="")),
        migrations.AddField(
            "reviewreport",
            "contains_spoilers",
            models.BooleanField(default=False, db_default=False),
        ),
        migrations.RunSQL(
            "ALTER TABLE social_reviewreport ALTER COLUMN rating_id DROP NOT NULL",
            migrations.RunSQL.noop,
            state_operations=[
                migrations.AlterField(
                    "reviewreport",
                    "rating",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="reports",
                        to="social.rating",
                    ),
                )
            ],
        ),
    ]
