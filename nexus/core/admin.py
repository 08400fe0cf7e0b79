"""Base classes for the admin of what members own: staff take away, and never write in a member's name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect


class ObjectActionsMixin:
    """Offers the list's actions as buttons on the page of an object, except Django's deletion.

    An action gets the same queryset as from the list, with the one object. The admin's log has an entry
    for each object of an action.
    """

    change_form_template: Any = "admin/object_actions.html"

    def is_action_useful(self, name: str, obj: Any) -> bool:
        """Return whether the page of this object should offer the action."""
        return True

    def filter_for_action(self, request: HttpRequest, queryset: Any) -> Any:
        """Return those of the selected objects that this user may change by actions."""
        return queryset

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)  # type: ignore[misc]
        return {
            # Django's deletion writes its own entries.
            name: action if name == "delete_selected" else (_log_objects(action), *action[1:])
            for name, action in actions.items()
        }

    def change_view(
        self: Any,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        buttons: list[tuple[str, str]] = []
        if obj is not None and self.has_view_permission(request, obj):
            actions = self.get_actions(request)
            actions.pop("delete_selected", None)
            if request.method == "POST" and request.POST.get("_action") in actions:
                run_action, _, _ = actions[request.POST["_action"]]
                run_action(self, request, self.get_queryset(request).filter(pk=obj.pk))
                return HttpResponseRedirect(request.get_full_path())
            buttons = [
                (name, description)
                for _, name, description in actions.values()
                if self.is_action_useful(name, obj)
            ]
        context = {**(extra_context or {}), "object_actions": buttons}
        response: HttpResponse = super().change_view(  # type: ignore[misc]
            request, object_id, form_url, context
        )
        return response


class MemberContentAdmin(ObjectActionsMixin, admin.ModelAdmin):
    """Shows what members own. Its actions, and deletion, are all that staff can do to it."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Allow actions, which ask without an object, and no edit of an object."""
        return obj is None and super().has_change_permission(request)

    def show_result(self, request: HttpRequest, text: str, *, is_changed: bool) -> None:
        """Tell staff what an action did; as a warning if it changed nothing."""
        self.message_user(request, text, messages.SUCCESS if is_changed else messages.WARNING)


def _log_objects(action: tuple[Callable[..., Any], str, str]) -> Callable[..., Any]:
    """Return the function of an action, followed by entries in the admin's log.

    An entry names the object by its type and id, and has the description of the action. The words of
    members are in neither.
    """
    run_action, _, description = action

    @wraps(run_action)
    def wrapper(model_admin: Any, request: HttpRequest, queryset: Any) -> Any:
        queryset = model_admin.filter_for_action(request, queryset)
        # Read first, because the action may delete them.
        objects = list(queryset)
        response = run_action(model_admin, request, queryset)
        # Only users get here.
        assert request.user.pk is not None
        LogEntry.objects.log_actions(request.user.pk, objects, CHANGE, f"{description}.")
        return response

    return wrapper


def format_number(value: float | None, digits: int = 1) -> str:
    """Return the number rounded, or `-` for None."""
    return "-" if value is None else f"{value:,.{digits}f}"


def count_objects(count: int, noun: str) -> str:
    """Return `1 report` or `2 reports`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
