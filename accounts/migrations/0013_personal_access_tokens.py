import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import nexus.core.validators
from accounts.roles import ADMIN, grant_permissions, make_permission_names


def grant_tokens(apps, schema_editor):
    """Let admins see personal access tokens, and delete them."""
    names = make_permission_names("accounts", "personalaccesstoken", "view", "delete")
    grant_permissions(apps, ADMIN, *names)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_existing_addresses_are_verified")]

    operations = [
        migrations.CreateModel(
            name="PersonalAccessToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=100, validators=[nexus.core.validators.validate_line]
                    ),
                ),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("read", "Read"),
                                ("write", "Write"),
                                ("scrobble", "Scrobble"),
                            ],
                            max_length=10,
                        ),
                        size=None,
                    ),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="personal_access_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(scopes__len__gt=0),
                        name="personal_access_token_has_scope",
                    )
                ],
            },
        ),
        migrations.RunPython(grant_tokens, migrations.RunPython.noop),
    ]
