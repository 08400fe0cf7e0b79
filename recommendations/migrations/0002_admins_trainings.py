from django.db import migrations

from accounts.roles import ADMIN, actions, grant


def grant_trainings(apps, schema_editor):
    for model in ("training", "feedback"):
        grant(apps, ADMIN, *actions("recommendations", model, "view"))


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_roles"), ("recommendations", "0001_initial")]

    operations = [migrations.RunPython(grant_trainings, migrations.RunPython.noop)]
