"""The page that a verification mail links to, for services without a client's page of their own.

It verifies on a click, and not when it is opened: scanners of mails open every link.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import ValidationError

from accounts.services import user_email_verify
from nexus.core.api import throttling
from nexus.core.api.exceptions import problem_response

TOO_MANY_ATTEMPTS = "Too many attempts. Try again in an hour."
MAX_TOKEN_LENGTH = 100
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'"
)


# The token is all that the form needs: it works without a login, so no other page can misuse one.
@csrf_exempt
def confirm_email(request: HttpRequest) -> HttpResponse:
    """Show a button, and verify the e-mail address when it is pressed."""
    match request.method:
        case "GET" | "HEAD":
            return _render(request, uid=request.GET.get("uid"), token=request.GET.get("token"))
        case "POST":
            return _verify(request)
    detail = f'Method "{request.method}" not allowed.'
    headers = {"Allow": "GET, HEAD, POST"}
    return problem_response(request, 405, "method_not_allowed", detail, headers)


def _verify(request: HttpRequest) -> HttpResponse:
    usage = throttling.hit(request, "email", throttling.get_client_address(request))
    if usage.is_exceeded:
        response = _render(request, status=429, error=TOO_MANY_ATTEMPTS)
        response["Retry-After"] = str(usage.reset_s)
        return response
    uid = request.POST.get("uid", "")
    token = request.POST.get("token", "")[:MAX_TOKEN_LENGTH]
    try:
        user_email_verify(uid=uid, token=token)
    except ValidationError as error:
        errors: Any = error.detail
        return _render(request, status=400, error=errors["token"][0])
    return _render(request, is_verified=True)


def _render(request: HttpRequest, *, status: int = 200, **context: object) -> HttpResponse:
    response = render(request, "accounts/confirm_email.html", context, status=status)
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
