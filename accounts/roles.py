"""What staff may do, as Django groups; migrations give each group its permissions.

A migration that brings a model for staff calls `grant` too:

    migrations.RunPython(lambda apps, _: grant(apps, MODERATOR, "social.view_report"))

It depends on accounts' migration `roles`, and on the one that makes the model.
"""

from __future__ import annotations

from typing import Any

MODERATOR = "moderator"
CURATOR = "curator"
ADMIN = "admin"

_CONTENT_TYPES, _AUTH = "contenttypes", "auth"


def grant(apps: Any, role: str, *permissions: str) -> None:
    """Give a role permissions, each as `app.action_model`; what is there already stays.

    `apps` is a migration's: there, Django has not made the permissions of new models yet.
    """
    content_type = apps.get_model(_CONTENT_TYPES, "ContentType")
    permission = apps.get_model(_AUTH, "Permission")
    group, _ = apps.get_model(_AUTH, "Group").objects.get_or_create(name=role)
    for full in permissions:
        app, _, codename = full.partition(".")
        action, _, model = codename.partition("_")
        kind, _ = content_type.objects.get_or_create(app_label=app, model=model)
        found, _ = permission.objects.get_or_create(
            content_type=kind, codename=codename, defaults={"name": f"Can {action} {model}"}
        )
        group.permissions.add(found)


def actions(app: str, model: str, *names: str) -> list[str]:
    """`actions("movies", "movie", "view", "change")` as `grant` takes them."""
    return [f"{app}.{name}_{model}" for name in names]
