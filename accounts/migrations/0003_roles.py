from django.db import migrations

from accounts.roles import ADMIN, CURATOR, MODERATOR, actions, grant

READ = ("view",)
EDIT = ("view", "change")
MODERATE = ("view", "change", "delete")
ALL = ("add", "view", "change", "delete")


def make_roles(apps, schema_editor):
    moderation = [
        *actions("social", "rating", *MODERATE),
        *actions("social", "playlist", *MODERATE),
        *actions("social", "playlistitem", *MODERATE),
    ]
    catalogue = [
        permission
        for model in ("movie", "person", "collection", "credit")
        for permission in actions("movies", model, *ALL)
    ]
    members = [
        *actions("accounts", "user", "add", *EDIT),
        *actions("accounts", "tokenfamily", "view", "delete"),
        # Deleting a session deletes its spent tokens with it.
        *actions("accounts", "spentrefreshtoken", "view", "delete"),
    ]
    grant(apps, MODERATOR, *moderation)
    grant(apps, CURATOR, *catalogue)
    grant(apps, ADMIN, *moderation, *catalogue, *members)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_known_address"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("movies", "0001_initial"),
        ("social", "0001_initial"),
    ]

    operations = [
        # Backwards the groups stay: members may be in them.
        migrations.RunPython(make_roles, migrations.RunPython.noop),
    ]
