"""The admin, with the passwords tried there under the API's limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from rest_framework.exceptions import Throttled

from accounts.password_checks import confirm_password, log_in, remember_address
from accounts.services import user_end_sessions
from nexus.core.api import throttling


class LoginForm(AdminAuthenticationForm):
    """Django's, with nexus' own check of the password."""

    def clean(self) -> dict[str, Any]:
        login, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if login and password:
            assert self.request is not None
            count = throttling.hit(
                self.request, "login", throttling.get_client_address(self.request)
            )
            try:
                if count.is_exceeded:
                    raise Throttled(wait=count.reset_s)
                self.user_cache = log_in(self.request, login=login, password=password)
            except Throttled as refusal:
                raise _too_many(self.request, refusal) from None
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


class OwnPasswordForm(AdminPasswordChangeForm):
    """Django's, with nexus' own check of the old password."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        try:
            is_right = confirm_password(self.request, user=self.user, password=password)
        except Throttled as refusal:
            raise _too_many(self.request, refusal) from None
        if not is_right:
            message = self.error_messages["password_incorrect"]
            raise forms.ValidationError(message, code="password_incorrect")
        return password


class OwnPasswordView(PasswordChangeView):
    form_class = OwnPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        user_end_sessions(user_id=form.user.pk)
        remember_address(self.request, user=form.user)
        return response


class NexusAdminSite(AdminSite):
    site_header = site_title = "Nexus Movie API"
    login_form = LoginForm

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return _told(request, super().login(request, extra_context))

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        request.current_app = self.name  # type: ignore[attr-defined]
        view = OwnPasswordView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return _told(request, view(request))


def _too_many(request: HttpRequest, refusal: Throttled) -> forms.ValidationError:
    """The refusal as a form's, noted at the request for `_told`."""
    wait_s = int(refusal.wait)  # type: ignore[attr-defined]
    request.login_wait_s = wait_s  # type: ignore[attr-defined]
    return forms.ValidationError(f"Too many attempts. Try again in {wait_s} s.", code="throttled")


def _told(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The page, with its status where too many passwords were tried."""
    wait_s = getattr(request, "login_wait_s", None)
    if wait_s is not None:
        response.status_code = 429
        response["Retry-After"] = str(wait_s)
    return response
