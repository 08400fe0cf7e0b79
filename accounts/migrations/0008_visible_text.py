import nexus.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_admins_jobs"),
    ]

    operations = [
        # Validators are not in the database.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="user",
                    name="avatar_url",
                    field=models.URLField(
                        blank=True,
                        max_length=500,
                        validators=[nexus.core.validators.validate_public_url],
                    ),
                ),
                migrations.AlterField(
                    model_name="user",
                    name="bio",
                    field=models.TextField(
                        blank=True,
                        max_length=1000,
                        validators=[nexus.core.validators.validate_text],
                    ),
                ),
                migrations.AlterField(
                    model_name="user",
                    name="display_name",
                    field=models.CharField(
                        blank=True, max_length=100, validators=[nexus.core.validators.validate_line]
                    ),
                ),
            ]
        ),
    ]
