from django.db import migrations

from accounts.roles import ADMIN, MODERATOR, grant_permissions, make_permission_names


def grant_groups(apps, schema_editor):
    permissions = make_permission_names("social", "moviegroup", "view", "delete")
    for role in (MODERATOR, ADMIN):
        grant_permissions(apps, role, *permissions)


class Migration(migrations.Migration):
    dependencies = [("social", "0029_scrobbles")]

    operations = [migrations.RunPython(grant_groups, migrations.RunPython.noop)]
