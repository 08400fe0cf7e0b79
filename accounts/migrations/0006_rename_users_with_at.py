from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

MAX_USERNAME_LENGTH = 150


def rename_users(apps, schema_editor):
    """Replace the @ in usernames, by which nobody could log in.

    Only `createsuperuser` and the admin accepted one. A login with an @ is looked up as an e-mail
    address, so these users keep logging in with theirs.
    """
    users = apps.get_model("accounts", "User").objects
    for user in users.filter(username__contains="@").order_by("pk"):
        base = user.username.replace("@", "_")
        name, number = base, 1
        while users.filter(username__iexact=name).exists():
            number += 1
            suffix = f"-{number}"
            name = base[: MAX_USERNAME_LENGTH - len(suffix)] + suffix
        print(f"\n  Renamed the user {user.username} to {name}: a username cannot contain @.", end="")
        users.filter(pk=user.pk).update(username=name)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_username_rule")]

    operations = [
        migrations.RunPython(rename_users, migrations.RunPython.noop),
        ValidateConstraint("user", "user_username_without_at"),
    ]
