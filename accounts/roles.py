"""The roles of staff, as Django groups. Migrations give each group its permissions.

A migration that creates a model for staff also grants permissions for it:

    migrations.RunPython(lambda apps, _: grant_permissions(apps, MODERATOR, "social.view_report"))

It depends on accounts' migration `0003_roles` and on the one that creates the model.
"""

from __future__ import annotations

from typing import Any

MODERATOR = "moderator"
CURATOR = "curator"
ADMIN = "admin"


def grant_permissions(apps: Any, role: str, *permissions: str) -> None:
    """Add permissions, each as `app.action_model`, to those of the role.

    `apps` is the migration's. Django creates the permissions of new models after all migrations, so
    missing ones are created here.
    """
    content_types = apps.get_model("contenttypes", "ContentType").objects
    all_permissions = apps.get_model("auth", "Permission").objects
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=role)
    for name in permissions:
        app, _, codename = name.partition(".")
        action, _, model = codename.partition("_")
        content_type, _ = content_types.get_or_create(app_label=app, model=model)
        permission, _ = all_permissions.get_or_create(
            content_type=content_type,
            codename=codename,
            defaults={"name": f"Can {action} {model}"},
        )
        group.permissions.add(permission)


def make_permission_names(app: str, model: str, *actions: str) -> list[str]:
    """Return the names that `grant_permissions` takes: `movies.view_movie`, `movies.change_movie`."""
    return [f"{app}.{action}_{model}" for action in actions]
