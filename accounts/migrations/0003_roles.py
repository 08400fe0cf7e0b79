from django.db import migrations

from accounts.roles import (
    ADMIN,
    CURATOR,
    MODERATOR,
    grant_permissions,
    make_permission_names,
)

READ = ("view",)
EDIT = ("view", "change")
MODERATE = ("view", "change", "delete")
ALL = ("add", "view", "change", "delete")


def make_roles(apps, schema_editor):
    moderation = [
        *make_permission_names("social", "rating", *MODERATE),
        *make_permission_names("social", "playlist", *MODERATE),
        *make_permission_names("social", "playlistitem", *MODERATE),
    ]
    catalogue = [
        permission
        for model in ("movie", "person", "collection", "credit")
        for permission in make_permission_names("movies", model, *ALL)
    ]
    members = [
        *make_permission_names("accounts", "user", "add", *EDIT),
        *make_permission_names("accounts", "tokenfamily", "view", "delete"),
        # Deleting a session deletes its spent tokens with it.
        *make_permission_names("accounts", "spentrefreshtoken", "view", "delete"),
    ]
    grant_permissions(apps, MODERATOR, *moderation)
    grant_permissions(apps, CURATOR, *catalogue)
    grant_permissions(apps, ADMIN, *moderation, *catalogue, *members)


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
