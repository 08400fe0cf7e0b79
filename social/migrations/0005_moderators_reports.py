from django.db import migrations

from accounts.roles import ADMIN, MODERATOR, actions, grant


def grant_reports(apps, schema_editor):
    # Deleting a review deletes the reports of it.
    for role in (MODERATOR, ADMIN):
        grant(apps, role, *actions("social", "reviewreport", "view", "change", "delete"))


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_roles"), ("social", "0004_imports")]

    operations = [migrations.RunPython(grant_reports, migrations.RunPython.noop)]
