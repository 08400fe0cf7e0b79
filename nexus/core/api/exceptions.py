"""Every error as a problem document, `application/problem+json` (RFC 9457), in one shape."""

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
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

View = Callable[[HttpRequest], HttpResponse]

PROBLEM_JSON = "application/problem+json"
DATABASE_RETRY_AFTER_S = 5
# Messages and field names may quote the request, so their length and number are bounded.
MAX_MESSAGE_LENGTH = 500
MAX_FIELD_NAME_LENGTH = 100
MAX_FIELDS = 20
UNSTORABLE_VALUE = (
    "A value in the request is out of the range of dates, numbers or characters that can be stored."
)
UNREADABLE_BODY = "The connection ended before the body. Send the request again."


class Problem(exceptions.APIException):
    """An error with its own status and code."""

    def __init__(
        self, status_code: int, code: str, detail: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail=detail, code=code)
        self.status_code = status_code
        self.headers = headers or {}


class NotFound(exceptions.NotFound):
    """A 404, also for what the caller may not see."""

    default_detail = "Not found."


class AccountNotFound(exceptions.AuthenticationFailed):
    """The caller's account was deleted after their token was checked."""

    default_detail = "This account no longer exists."
    default_code = "user_not_found"


class GuestNotAllowed(exceptions.PermissionDenied):
    """Guests may not do this."""

    default_detail = "Guests may not do this. Register with POST /auth/guest/register/ first."
    default_code = "guest_not_allowed"


def field_error(
    field: str, message: str | list[str], code: str = "invalid"
) -> exceptions.ValidationError:
    """Return a 400 that names one field, with one message or several."""
    messages = [message] if isinstance(message, str) else message
    return exceptions.ValidationError({field: messages}, code=code)


def problem_body(
    *, status_code: int, code: str, detail: str, request: HttpRequest | None, **members: Any
) -> dict[str, Any]:
    """Return a problem document; `members` are added to the standard ones."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "detail": detail,
        "code": code,
        "request_id": getattr(request, "id", None),
        **members,
    }


def problem_response(
    request: HttpRequest | None,
    status_code: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """Return a problem document from outside of DRF: middleware and Django's error handlers."""
    body = problem_body(status_code=status_code, code=code, detail=detail, request=request)
    response = JsonResponse(body, status=status_code, content_type=PROBLEM_JSON)
    for name, value in {"Cache-Control": "private, no-store", **(headers or {})}.items():
        response[name] = value
    return response


def require_safe(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Restrict a view outside of DRF to GET and HEAD, as Django's decorator of this name does.

    Other methods get a 405 that is a problem document.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return view(request, *args, **kwargs)
        detail = f'Method "{request.method}" not allowed.'
        return problem_response(request, 405, "method_not_allowed", detail, {"Allow": "GET, HEAD"})

    return wrapper


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem document of an error: DRF's exception handler.

    DRF raises an error for which this returns None; it reaches `server_error`.
    """
    request: HttpRequest = context["request"]._request
    if isinstance(error, OperationalError | InterfaceError):
        error = make_database_problem()
    elif isinstance(error, DataError):
        # A value that a serializer should have refused. The log line contains the traceback.
        request.error = error  # type: ignore[attr-defined]
        error = Problem(status.HTTP_400_BAD_REQUEST, "bad_request", UNSTORABLE_VALUE)
    elif isinstance(error, UnreadablePostError):
        error = Problem(status.HTTP_400_BAD_REQUEST, "bad_request", UNREADABLE_BODY)
    response = exception_handler(error, context)
    if response is None:
        return None
    # DRF converts these two inside exception_handler and does not return the result.
    if isinstance(error, Http404):
        error = NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    assert isinstance(error, exceptions.APIException)
    detail, code, errors = _describe(error)
    response.data = problem_body(
        status_code=response.status_code,
        code=code,
        detail=_truncate(detail, MAX_MESSAGE_LENGTH),
        request=request,
        **({"errors": errors} if errors else {}),
    )
    response.content_type = PROBLEM_JSON
    for name, value in getattr(error, "headers", {}).items():
        response[name] = value
    return response


def make_database_problem() -> Problem:
    """Return the 503 for a database that does not respond."""
    return Problem(
        status.HTTP_503_SERVICE_UNAVAILABLE,
        "database_unavailable",
        f"The database does not respond. Try again in {DATABASE_RETRY_AFTER_S} s.",
        headers={"Retry-After": str(DATABASE_RETRY_AFTER_S)},
    )


def _describe(error: exceptions.APIException) -> tuple[str, str, dict[str, Any]]:
    """Return the detail, the code and the errors by field of a DRF exception."""
    details: Any = error.get_full_details()
    if isinstance(error, exceptions.ValidationError):
        errors = dict(islice(_flatten_errors(details).items(), MAX_FIELDS))
        fields = ", ".join(name for name in errors if name != "non_field_errors")
        detail = f"Invalid: {fields}." if fields else errors["non_field_errors"][0]["message"]
        return detail, getattr(error, "problem_code", "invalid"), errors
    if isinstance(details, dict) and "message" in details:
        return str(details["message"]), str(details["code"]), {}
    # SimpleJWT's exceptions have a dict with the keys `detail` and `code` as their detail.
    detail = details["detail"] if isinstance(details, dict) else details[0]
    return str(detail["message"]), str(detail["code"]), {}


def _truncate(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _flatten_errors(details: Any, path: str = "") -> dict[str, list[dict[str, str]]]:
    """Flatten DRF's nested details: `items.3.score` is the score of the fourth item."""
    if _is_message(details):
        message = _truncate(str(details["message"]), MAX_MESSAGE_LENGTH)
        name = _truncate(path, MAX_FIELD_NAME_LENGTH) or "non_field_errors"
        return {name: [{"message": message, "code": str(details["code"])}]}
    if isinstance(details, dict):
        children = [(str(key), value) for key, value in details.items()]
    else:
        # A list holds the messages of one field, or one dict for each item of a list field.
        children = [
            ("" if isinstance(value, dict) and "message" in value else str(index), value)
            for index, value in enumerate(details)
        ]
    errors: dict[str, list[dict[str, str]]] = {}
    for key, value in children:
        child_path = ".".join(part for part in (path, key) if part)
        for name, messages in _flatten_errors(value, child_path).items():
            errors.setdefault(name, []).extend(messages)
    return errors


def _is_message(details: Any) -> bool:
    return (
        isinstance(details, dict)
        and set(details) == {"message", "code"}
        and isinstance(details["code"], str)
    )


# --- Django's error handlers, which nexus/urls.py names ------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        detail = "The body is too large. Send less, or split it into several requests."
        return problem_response(request, 413, "too_large", detail)
    if isinstance(exception, TooManyFieldsSent):
        detail = "The request has too many parameters. Send fewer."
        return problem_response(request, 400, "bad_request", detail)
    if isinstance(exception, SuspiciousOperation):
        detail = "The request cannot be read. Check its Host header and its encoding."
        return problem_response(request, 400, "bad_request", detail)
    return problem_response(request, 400, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(request, 403, "permission_denied", "You may not do this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    detail = f"The form's CSRF check failed: {reason} Reload the page and send the form again."
    return problem_response(request, 403, "csrf_failed", detail)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    detail = "No such URL. The paths that exist are listed at /swagger/."
    return problem_response(request, 404, "not_found", detail)


def server_error(request: HttpRequest) -> HttpResponse:
    error = sys.exc_info()[1]
    # RequestLogMiddleware writes the error and its traceback into the request's log line.
    request.error = error  # type: ignore[attr-defined]
    if isinstance(error, OperationalError | InterfaceError):
        problem = make_database_problem()
        return problem_response(
            request,
            problem.status_code,
            "database_unavailable",
            str(problem.detail),
            problem.headers,
        )
    detail = "The server failed. Quote the request_id when you report this."
    return problem_response(request, 500, "server_error", detail)
