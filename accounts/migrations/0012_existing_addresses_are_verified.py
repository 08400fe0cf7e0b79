"""Existing addresses become verified, and only verified ones are unique.

They were unique, and logging in with them worked, so their owners keep both. The previous release may
add users until its containers are replaced: those request a verification mail.
"""

import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

USERS_PER_UPDATE = 1000
OLD_CONSTRAINT = "user_email_unique_without_case"
NEW_CONSTRAINT = "user_verified_email_unique_without_case"


def verify_existing_addresses(apps, schema_editor):
    users = apps.get_model("accounts", "User").objects
    unverified = users.filter(email_verified=False).exclude(email="").order_by("pk")
    last_id = 0
    while ids := list(
        unverified.filter(pk__gt=last_id).values_list("pk", flat=True)[:USERS_PER_UPDATE]
    ):
        users.filter(pk__in=ids).update(email_verified=True)
        last_id = ids[-1]


class Migration(migrations.Migration):
    # Each operation can be repeated after an interruption.
    atomic = False

    dependencies = [
        ("accounts", "0011_verified_email"),
    ]

    operations = [
        migrations.RunPython(verify_existing_addresses, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                django.db.models.functions.text.Lower("email"), name="user_email_without_case"
            ),
        ),
        migrations.RunSQL(
            f'CREATE UNIQUE INDEX CONCURRENTLY "{NEW_CONSTRAINT}" ON accounts_user (lower(email))'
            " WHERE email_verified AND NOT email = ''",
            f'DROP INDEX CONCURRENTLY IF EXISTS "{NEW_CONSTRAINT}"',
            state_operations=[
                migrations.AddConstraint(
                    model_name="user",
                    constraint=models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"),
                        condition=models.Q(("email_verified", True))
                        & models.Q(("email", ""), _negated=True),
                        name=NEW_CONSTRAINT,
                        violation_error_message="A user with that e-mail address already exists.",
                    ),
                )
            ],
        ),
        migrations.RunSQL(
            f'DROP INDEX CONCURRENTLY IF EXISTS "{OLD_CONSTRAINT}"',
            f'CREATE UNIQUE INDEX CONCURRENTLY "{OLD_CONSTRAINT}" ON accounts_user (lower(email))'
            " WHERE NOT email = ''",
            state_operations=[
                migrations.RemoveConstraint(model_name="user", name=OLD_CONSTRAINT),
            ],
        ),
    ]
