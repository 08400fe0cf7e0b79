"""Remove the follow counts from the model.

The columns stay in the table: the previous release reads them while containers are replaced. This
release does not fill them, so they get a default. The next release can drop them.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_roles")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE accounts_user"
            " ALTER COLUMN follower_count SET DEFAULT 0, ALTER COLUMN following_count SET DEFAULT 0",
            "ALTER TABLE accounts_user"
            " ALTER COLUMN follower_count DROP DEFAULT, ALTER COLUMN following_count DROP DEFAULT",
            state_operations=[
                migrations.RemoveField("user", "follower_count"),
                migrations.RemoveField("user", "following_count"),
            ],
        ),
    ]
