from django.db import migrations

from accounts.roles import ADMIN, grant_permissions, make_permission_names


def grant_trainings(apps, schema_editor):
    for model in ("training", "feedback"):
        grant_permissions(apps, ADMIN, *make_permission_names("recommendations", model, "view"))


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_roles"), ("recommendations", "0001_initial")]

    operations = [migrations.RunPython(grant_trainings, migrations.RunPython.noop)]
