"""The admin site. Its login and its password change have the API's rate limits.

Django's pages hand filters, dates and ids of the URL to the database as they are. `reject_bad_values`
turns the errors that follow into a 400, for all pages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.db import DataError, ProgrammingError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from rest_framework.exceptions import Throttled

from accounts.password_checks import confirm_password, log_in, remember_address
from accounts.services import user_revoke_access
from nexus.core.api import throttling
from nexus.core.api.exceptions import UNSTORABLE_VALUE, problem_response

AdminView = Callable[..., HttpResponseBase]

#: What staff use most comes first on the index, by object name. The others follow as Django sorts them.
MODEL_ORDER = (
    *("ReviewReport", "HiddenReview", "Movie", "User"),
    *("Rating", "Playlist", "Training", "Person", "Collection", "Import"),
)

#: What Python and PostgreSQL raise for a value, or for a lookup that its column does not have.
BAD_VALUE_ERRORS = (DataError, ProgrammingError, OverflowError, TypeError, ValueError)


class LoginForm(AdminAuthenticationForm):
    """Django's login form with `log_in` as its password check."""

    def clean(self) -> dict[str, Any]:
        login, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if login and password:
            assert self.request is not None
            address = throttling.get_client_address(self.request)
            usage = throttling.hit(self.request, "login", address)
            try:
                if usage.is_exceeded:
                    raise Throttled(wait=usage.reset_s)
                self.user_cache = log_in(self.request, login=login, password=password)
            except Throttled as error:
                raise _make_form_error(self.request, error) from None
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


class PasswordForm(AdminPasswordChangeForm):
    """Django's form with `confirm_password` as its check of the old password."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        try:
            is_correct = confirm_password(self.request, user=self.user, password=password)
        except Throttled as error:
            raise _make_form_error(self.request, error) from None
        if not is_correct:
            message = self.error_messages["password_incorrect"]
            raise forms.ValidationError(message, code="password_incorrect")
        return password


class PasswordView(PasswordChangeView):
    form_class = PasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        user_revoke_access(user_id=form.user.pk)
        remember_address(self.request, user=form.user)
        return response


def reject_bad_values(view: AdminView) -> AdminView:
    """Wrap a page: a value that Python or the database cannot represent is a 400 instead of a 500.

    The log line of the request contains the traceback, because the cause may be a bug after all.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = view(request, *args, **kwargs)
            # Some filters are read only while the page is rendered.
            return response.render() if isinstance(response, TemplateResponse) else response
        except BAD_VALUE_ERRORS as error:
            request.error = error  # type: ignore[attr-defined]
            return problem_response(request, 400, "bad_request", UNSTORABLE_VALUE)

    return wrapper


class NexusAdminSite(AdminSite):
    site_header = site_title = "Nexus Movie API"
    # Beside the sidebar and the filters, 630 px were left for the columns of a list on a screen of 1280.
    enable_nav_sidebar = False
    login_form = LoginForm

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(reject_bad_values(view), cacheable)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(key=_get_position)
        # An app stands where its first model does.
        return sorted(apps, key=lambda app: _get_position(app["models"][0]))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return _set_throttled_status(request, super().login(request, extra_context))

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        request.current_app = self.name  # type: ignore[attr-defined]
        view = PasswordView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return _set_throttled_status(request, view(request))


def _get_position(model: dict[str, Any]) -> int:
    name = model["object_name"]
    return MODEL_ORDER.index(name) if name in MODEL_ORDER else len(MODEL_ORDER)


def _make_form_error(request: HttpRequest, error: Throttled) -> forms.ValidationError:
    """Return the error for the form, and note it on the request for `_set_throttled_status`."""
    wait_s = int(error.wait)  # type: ignore[attr-defined]
    request.login_wait_s = wait_s  # type: ignore[attr-defined]
    return forms.ValidationError(f"Too many attempts. Try again in {wait_s} s.", code="throttled")


def _set_throttled_status(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Give the page the status 429 if a form on it was throttled."""
    wait_s = getattr(request, "login_wait_s", None)
    if wait_s is not None:
        response.status_code = 429
        response["Retry-After"] = str(wait_s)
    return response
