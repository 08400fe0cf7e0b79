"""The admin, with its login under the API's limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled

from accounts.logins import log_in
from accounts.services import sessions_end
from nexus.core import ratelimit


class LoginForm(AdminAuthenticationForm):
    """Django's, with nexus' own check of the password."""

    def clean(self) -> dict[str, Any]:
        login, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if login and password:
            assert self.request is not None
            count = ratelimit.hit(self.request, "login", ratelimit.client_address(self.request))
            try:
                if count.exceeded:
                    raise Throttled(wait=count.reset_s)
                self.user_cache = log_in(self.request, login=login, password=password)
            except Throttled as refusal:
                wait_s = int(refusal.wait)  # type: ignore[attr-defined]
                self.request.login_wait_s = wait_s  # type: ignore[attr-defined]
                message = f"Too many attempts. Try again in {wait_s} s."
                raise forms.ValidationError(message, code="throttled") from None
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


class StaffSite(AdminSite):
    site_header = site_title = "Nexus Movie API"
    login_form = LoginForm

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        response: HttpResponse = super().login(request, extra_context)
        wait_s = getattr(request, "login_wait_s", None)
        if wait_s is not None:
            response.status_code = 429
            response["Retry-After"] = str(wait_s)
        return response

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and response.status_code == 302 and request.user.pk:
            sessions_end(user_id=request.user.pk)
        return response
