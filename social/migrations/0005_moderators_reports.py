from django.db import migrations

from accounts.roles import ADMIN, MODERATOR, grant_permissions, make_permission_names


def grant_reports(apps, schema_editor):
    # Deleting a review deletes the reports of it.
    permissions = make_permission_names("social", "reviewreport", "view", "change", "delete")
    for role in (MODERATOR, ADMIN):
        grant_permissions(apps, role, *permissions)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_roles"), ("social", "0004_imports")]

    operations = [migrations.RunPython(grant_reports, migrations.RunPython.noop)]
