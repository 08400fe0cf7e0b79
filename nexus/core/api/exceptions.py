"""Every error as `application/problem+json` (RFC 9457), in one shape."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

View = Callable[[HttpRequest], HttpResponse]

PROBLEM_JSON = "application/problem+json"
DATABASE_RETRY_AFTER_S = 5
# What an answer repeats of a request is bounded, however much was sent.
MAX_TEXT = 500
MAX_NAME = 100
MAX_ERRORS = 20


class Problem(exceptions.APIException):
    """An error of the contract: a status, a code, a sentence for the reader, and headers."""

    def __init__(
        self, status_code: int, code: str, detail: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail=detail, code=code)
        self.status_code = status_code
        self.headers = headers or {}


class NotFound(exceptions.NotFound):
    default_detail = "Not found."


class AccountNotFound(exceptions.AuthenticationFailed):
    """The caller's account was deleted after their token was checked."""

    default_detail = "This account no longer exists."
    default_code = "user_not_found"


def field_error(
    field: str, message: str | list[str], code: str = "invalid"
) -> exceptions.ValidationError:
    """A 400 that names one field, with one message or several."""
    messages = [message] if isinstance(message, str) else message
    return exceptions.ValidationError({field: messages}, code=code)


def request_id(request: HttpRequest | None) -> str | None:
    return getattr(request, "id", None)


def problem_body(
    *, status_code: int, code: str, detail: str, request: HttpRequest | None, **more: Any
) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "detail": detail,
        "code": code,
        "request_id": request_id(request),
        **more,
    }


def problem_response(
    request: HttpRequest | None,
    status_code: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """A problem document from outside DRF: middleware and Django's error handlers."""
    body = problem_body(status_code=status_code, code=code, detail=detail, request=request)
    response = JsonResponse(body, status=status_code, content_type=PROBLEM_JSON)
    for name, value in {"Cache-Control": "private, no-store", **(headers or {})}.items():
        response[name] = value
    return response


def read_only(view: View) -> View:
    """For views outside DRF: GET and HEAD, and for all else a 405."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return view(request)
        detail = f'Method "{request.method}" not allowed.'
        return problem_response(request, 405, "method_not_allowed", detail, {"Allow": "GET, HEAD"})

    return guarded


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; what it does not know goes on to `server_error`."""
    if isinstance(error, OperationalError | InterfaceError):
        error = database_problem()
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, Http404):
        error = NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    assert isinstance(error, exceptions.APIException)
    detail, code, errors = _described(error)
    more: dict[str, Any] = {"errors": errors} if errors else {}
    detail = _cut(detail, MAX_TEXT)
    response.data = problem_body(
        status_code=response.status_code,
        code=code,
        detail=detail,
        request=context["request"]._request,
        **more,
    )
    response.content_type = PROBLEM_JSON
    for name, value in getattr(error, "headers", {}).items():
        response[name] = value
    return response


def database_problem() -> Problem:
    return Problem(
        status.HTTP_503_SERVICE_UNAVAILABLE,
        "database_unavailable",
        "The database cannot answer at the moment. Try again shortly.",
        headers={"Retry-After": str(DATABASE_RETRY_AFTER_S)},
    )


def _described(error: exceptions.APIException) -> tuple[str, str, dict[str, Any]]:
    """The sentence, the code and the errors by field of a DRF exception."""
    full: Any = error.get_full_details()
    if isinstance(error, exceptions.ValidationError):
        errors = dict(islice(_by_field(full).items(), MAX_ERRORS))
        fields = ", ".join(name for name in errors if name != "non_field_errors")
        detail = f"Invalid: {fields}." if fields else errors["non_field_errors"][0]["message"]
        return detail, "invalid", errors
    if isinstance(full, dict) and "message" in full:
        return str(full["message"]), str(full["code"]), {}
    # SimpleJWT's errors are dicts with `detail` and `code` of their own.
    detail = full["detail"] if isinstance(full, dict) else full[0]
    return str(detail["message"]), str(detail["code"]), {}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _by_field(full: Any, path: str = "") -> dict[str, list[dict[str, str]]]:
    """DRF's nested error details, flattened: `items.3.score` names the score of the fourth item."""
    if (
        isinstance(full, dict)
        and set(full) == {"message", "code"}
        and isinstance(full["code"], str)
    ):
        message = {"message": _cut(str(full["message"]), MAX_TEXT), "code": str(full["code"])}
        return {_cut(path, MAX_NAME) or "non_field_errors": [message]}
    flat: dict[str, list[dict[str, str]]] = {}
    if isinstance(full, dict):
        parts = [(str(key), value) for key, value in full.items()]
    else:
        parts = [
            ("" if isinstance(value, dict) and "message" in value else str(index), value)
            for index, value in enumerate(full)
        ]
    for key, value in parts:
        name = ".".join(part for part in (path, key) if part)
        for found, messages in _by_field(value, name).items():
            flat.setdefault(found, []).extend(messages)
    return flat


# --- Django's own handlers, named in nexus/urls.py -----------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        return problem_response(request, 413, "too_large", "The body is too large.")
    if isinstance(exception, TooManyFieldsSent | SuspiciousOperation):
        return problem_response(request, 400, "bad_request", "The request cannot be read.")
    return problem_response(request, 400, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(request, 403, "permission_denied", "You may not do this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    detail = f"The form's CSRF check failed ({reason}) Reload the page and send it again."
    return problem_response(request, 403, "csrf_failed", detail)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(request, 404, "not_found", "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    error = sys.exc_info()[1]
    # RequestLogMiddleware writes it, with its traceback, in the request's one line.
    request.error = error  # type: ignore[attr-defined]
    if isinstance(error, OperationalError | InterfaceError):
        problem = database_problem()
        return problem_response(
            request,
            problem.status_code,
            "database_unavailable",
            str(problem.detail),
            problem.headers,
        )
    detail = "The server failed. Quote the request_id when you report it."
    return problem_response(request, 500, "server_error", detail)
