from django.db import migrations

from accounts.roles import ADMIN, grant_permissions, make_permission_names


def grant_jobs(apps, schema_editor):
    """Let admins see background jobs, retry and cancel them."""
    grant_permissions(apps, ADMIN, *make_permission_names("procrastinate", "procrastinatejob", "view"))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_rename_users_with_at"),
        ("procrastinate", "0041_post_retry_failed_job"),
    ]

    operations = [migrations.RunPython(grant_jobs, migrations.RunPython.noop)]
