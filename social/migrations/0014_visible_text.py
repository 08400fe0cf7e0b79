import django.core.validators
import nexus.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("social", "0013_index_of_unfinished_imports"),
    ]

    operations = [
        # Validators are not in the database.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="playlist",
                    name="description",
                    field=models.TextField(
                        blank=True,
                        max_length=2000,
                        validators=[nexus.core.validators.validate_text],
                    ),
                ),
                migrations.AlterField(
                    model_name="playlist",
                    name="name",
                    field=models.CharField(
                        max_length=200, validators=[nexus.core.validators.validate_line]
                    ),
                ),
                migrations.AlterField(
                    model_name="playlistitem",
                    name="note",
                    field=models.CharField(
                        blank=True, max_length=500, validators=[nexus.core.validators.validate_text]
                    ),
                ),
                migrations.AlterField(
                    model_name="rating",
                    name="review",
                    field=models.TextField(
                        blank=True,
                        validators=[
                            django.core.validators.MaxLengthValidator(10000),
                            nexus.core.validators.validate_text,
                        ],
                    ),
                ),
                migrations.AlterField(
                    model_name="reviewreport",
                    name="comment",
                    field=models.CharField(
                        blank=True,
                        max_length=1000,
                        validators=[nexus.core.validators.validate_text],
                    ),
                ),
            ]
        ),
    ]
