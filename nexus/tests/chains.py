"""Requests that schemathesis generates from the published schema, alone and in chains.

schemathesis generates the data and infers which response feeds which request (`POST /playlists/` gives
the id of `PATCH /playlists/{id}/`). This module adds what it cannot know: movies that exist, whose token
a request carries, and what counts as an error here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import (
    content_type_conformance,
    load_all_checks,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.stateful.state_machine import StepOutput, normalize_name

from nexus.core.genres import GENRE_NAMES
from nexus.dev.pytest_plugin import PASSWORD

load_all_checks()

PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "request_id"}
#: Codes of the only 5xx responses that are no error here: TMDb does not respond.
EXPECTED_5XX = {"tmdb_not_configured", "tmdb_unavailable"}
# Files that an import can read; random bytes are uploaded too.
FILES = (
    b"Date,Name,Year,Letterboxd URI,Rating\n2024-01-02,Alien,1979,https://boxd.it/a,4.5\n",
    b"Date,Name,Year,Letterboxd URI,Rating\n2024-01-02,Nil,1,https://boxd.it/b,5\nx,Ran,1985,x,9\n",
    b"Const,Your Rating,Date Rated,Title,URL,Title Type\ntt9000001,8,2024-01-02,Alien,,Movie\n",
    b'[{"rated_at": "2024-01-02T00:00:00Z", "rating": 8, "movie": {"title": "Alien", "ids": {}}}]',
)


def check_problem(context: CheckContext, response: Response, case: Case) -> None:
    """Assert that an error is a problem document and no server error."""
    status = response.status_code
    if status < 400:
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind == "application/problem+json", f"{status} as {kind}"
    body = json.loads(response.content)
    assert PROBLEM_KEYS <= set(body) <= PROBLEM_KEYS | {"errors"}, f"keys {sorted(body)}"
    assert status < 500 or body["code"] in EXPECTED_5XX, f"{status} {body['code']}"
    assert body["status"] == status, "the document has another status"
    assert [body["request_id"]] == response.headers["x-request-id"], "another request id"
    assert body["detail"], "no detail"


def check_media_type(context: CheckContext, response: Response, case: Case) -> None:
    """Assert that a body has a declared media type. Swagger 2 declares one list for all statuses."""
    if response.status_code not in (204, 304):
        content_type_conformance(context, response, case)


CHECKS = [
    check_problem,
    status_code_conformance,
    check_media_type,
    response_headers_conformance,
    response_schema_conformance,
]


#: Each of these must succeed (2xx) on a resource of an earlier response.
CORE = {
    "GET /playlists/{id}/",
    "PATCH /playlists/{id}/",
    "DELETE /playlists/{id}/",
    "POST /playlists/{id}/items/",
    "PUT /playlists/{id}/items/order/",
    "GET /ratings/{id}/",
    "PUT /ratings/{id}/",
    "DELETE /ratings/{id}/",
    "POST /ratings/{id}/report/",
    "DELETE /history/{id}/",
    "GET /imports/{id}/",
    "POST /imports/{id}/apply/",
    "POST /imports/{id}/undo/",
    "DELETE /auth/sessions/{id}/",
    "POST /auth/token/refresh/",
    "PUT /profiles/{username}/follow/",
}


# Members report the reviews of others.
_OF_ANOTHER_CALLER = {"POST /ratings/{id}/report/"}


def check_rejection(context: CheckContext, response: Response, case: Case) -> None:
    """Assert that data that violates the schema is rejected.

    Data with surrounding blanks is exempt, because they are stripped. So are forms: schemathesis may
    generate a field again, as a file, that it left out.
    """
    body = case.body if isinstance(case.body, dict) else {}
    texts = [*(case.query or {}).values(), *body.values()]
    if case.media_type == "multipart/form-data":
        return
    if not any(isinstance(text, str) and text != text.strip() for text in texts):
        negative_data_rejection(context, response, case)


@dataclass
class Ledger:
    """The requests that were sent, and what was wrong with the responses."""

    #: Requests by operation and status.
    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: Those with a value of an earlier response in their path.
    chained: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: The ids of the requests that got a 5xx.
    failed: set[str] = field(default_factory=set)
    #: Descriptions by operation, check and first line, so that each fault is reported once.
    findings: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def check(self, case: Case, response: Response, checks: Sequence[Any], **more: Any) -> None:
        label = case.operation.label
        self.calls[label, response.status_code] += 1
        if response.status_code >= 500:
            self.failed.update(response.headers.get("x-request-id", []))
        if response.status_code in (414, 431):
            # gunicorn rejects the request with a page of its own before Django can respond.
            return
        try:
            case.validate_response(response, checks=list(checks), **more)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(case, response, failure)
        except AssertionError as failure:
            self._note(case, response, failure)

    def _note(self, case: Case, response: Response, failure: Any) -> None:
        title = str(getattr(failure, "title", "Failure"))
        message = " ".join(str(getattr(failure, "message", failure)).split())[:300]
        key = (case.operation.label, title, message[:60])
        sent = f"{case.method} {case.formatted_path} {dict(case.query or {})} {case.body!r}"
        self.findings.setdefault(
            key, f"{key[0]}: {title}: {message}\n    {sent[:300]}\n    {response.text[:300]}"
        )

    def count_status(self, low: int, high: int, *, chained: bool = False) -> int:
        counted = self.chained if chained else self.calls
        return sum(number for (_, status), number in counted.items() if low <= status < high)

    def operations(self, *, chained: bool = False) -> set[str]:
        """Return the operations that succeeded (2xx) at least once."""
        counted = self.chained if chained else self.calls
        return {label for (label, status) in counted if 200 <= status < 300}

    def table(self) -> Iterator[str]:
        """Yield a line for each operation: requests, how many of them in chains, and by status."""
        yield f"{'operation':<48} {'calls':>6} {'chained':>7}  by status"
        for label in sorted({label for label, _ in self.calls}):
            by = {status: n for (name, status), n in sorted(self.calls.items()) if name == label}
            chained = sum(n for (name, _), n in self.chained.items() if name == label)
            statuses = " ".join(f"{status}:{n}" for status, n in by.items())
            yield f"{label:<48} {sum(by.values()):>6} {chained:>7}  {statuses}"


@dataclass
class ServiceUnderTest:
    """The service under test, and its callers."""

    #: Sends a case with headers.
    call: Callable[[Case, dict[str, str]], Response]
    #: Returns a new access token of a caller, whose account is created again if it was deleted.
    token: Callable[[str], str]
    callers: Sequence[str]
    #: Surrounds each chain and rolls back its changes.
    rollback: Callable[[], AbstractContextManager[Any]] = nullcontext
    #: Runs after each request, for the work the service does in the background.
    run_background_work: Callable[[Case, Response], None] = lambda case, response: None
    _tokens: dict[str, str] = field(default_factory=dict)

    def send(self, case: Case, caller: str) -> Response:
        token = self._tokens.get(caller) or self.token(caller)
        self._tokens[caller] = token
        response = self.call(case, {"Authorization": f"Bearer {token}"})
        self.run_background_work(case, response)
        if response.status_code == 401:
            # The previous request may have ended the session.
            self._tokens.pop(caller)
        return response

    def clear_tokens(self) -> None:
        """Forget the tokens of sessions that were rolled back."""
        if self.rollback is not nullcontext:
            self._tokens.clear()


def load_schema(raw: Mapping[str, Any]) -> Any:
    """Load the schema into schemathesis."""
    # Ignore a configuration file in the working directory.
    config = schemathesis.Config()
    # ServiceUnderTest.send adds the tokens. run_calls names its mode; in chains, most requests succeed.
    config.projects.default.generation.update(
        with_security_parameters=False, modes=[GenerationMode.POSITIVE]
    )
    return schemathesis.openapi.from_dict({**deepcopy(raw), "host": "testserver"}, config=config)


# Cursors, which only the service creates, and aliases of other parameters.
_OMITTED_PARAMETERS = {"cursor", "q", "min_score", "max_score"}
# Only the first page exists, the order of a playlist needs If-Match, and few texts are the tag of a
# language or the code of a region.
_PARAMETERS: dict[str, dict[str, Any]] = {
    "page": {"maximum": 1},
    "If-Match": {"required": True},
    "language": {"enum": ["de", "pt-BR"]},
    "region": {"enum": ["DE", "US"]},
}


def add_realistic_values(
    raw: Mapping[str, Any], *, movie_ids: Sequence[int], tmdb_ids: Sequence[int]
) -> Any:
    """Return the schema with values that exist, and links that schemathesis cannot infer."""
    schema = deepcopy(dict(raw))
    movie = {"type": "integer", "enum": list(movie_ids)}
    tmdb_id = {"type": "integer", "enum": list(tmdb_ids)}
    known: dict[str, Any] = {
        "movie": movie,
        "movie_ids": {"type": "array", "items": movie, "maxItems": 3, "uniqueItems": True},
        "tmdb_id": tmdb_id,
        "tmdb_ids": {"type": "array", "items": tmdb_id, "maxItems": 3},
        "username": {"type": "string", "pattern": "^u[a-z0-9]{9,14}$"},
        "watched_at": {"type": "string", "enum": ["2020-02-29T12:00:00Z", "1999-12-31T23:59:59Z"]},
        "avatar_url": {"type": "string", "enum": ["", "https://a.example/face.png"]},
        # Most random texts have characters that members may not write.
        **{
            name: {"type": "string", "enum": ["Nights in.", "Ängste, 2 × 🎬"]}
            for name in ("name", "description", "review", "comment", "note", "bio", "display_name")
        },
        "favorite_genres": {
            "type": "array",
            "items": {"type": "string", "enum": list(GENRE_NAMES)},
            "maxItems": 3,
        },
        **{
            name: {"type": "string", "enum": [PASSWORD]}
            for name in ("password", "password_confirm", "old_password", "new_password")
        },
    }
    for template, item in schema["paths"].items():
        for parameter in item.get("parameters", []):
            is_movie_id = parameter["name"] == "movie_id" or template.startswith("/movies/{id}/")
            if parameter["in"] == "path" and is_movie_id:
                parameter["enum"] = list(movie_ids)
        for operation in (operation for name, operation in item.items() if name != "parameters"):
            operation["parameters"] = [
                {**parameter, **_PARAMETERS.get(parameter["name"], {})}
                for parameter in operation["parameters"]
                if parameter["in"] != "query" or parameter["name"] not in _OMITTED_PARAMETERS
            ]
            for parameter in operation["parameters"]:
                if parameter["in"] == "body":
                    name = parameter["schema"]["$ref"].rpartition("/")[2]
                    parameter["schema"] = deepcopy(schema["definitions"][name])
                    properties = parameter["schema"]["properties"]
                    properties.update({key: known[key] for key in known if key in properties})
                    if "imdb_id" in properties and "tmdb_id" in properties:
                        # The body takes only one of the two.
                        del properties["imdb_id"]
                        parameter["schema"]["required"] = ["tmdb_id"]
    for source, status, target, link in LINKS:
        source_method, _, source_path = source.partition(" ")
        target_method, _, target_path = target.partition(" ")
        links = schema["paths"][source_path][source_method]["responses"][status].setdefault(
            "x-links", {}
        )
        pointer = target_path.replace("~", "~0").replace("/", "~1")
        links[f"{target} {len(links)}"] = {
            "operationRef": f"#/paths/{pointer}/{target_method}",
            # As in inferred links, `*` in an expression is any item of a list.
            "x-schemathesis": {"is_inferred": True},
            **link,
        }
    return load_schema(schema)


_ITEMS, _ORDER = "get /playlists/{id}/items/", "put /playlists/{id}/items/order/"
_OF_PLAYLIST = {"id": "$request.path.id", "If-Match": "$response.header.etag"}
#: Source, status, target, and the values that the source gives the target.
LINKS: list[tuple[str, str, str, dict[str, Any]]] = [
    (
        _ITEMS,
        "200",
        _ORDER,
        {
            "parameters": _OF_PLAYLIST,
            "requestBody": {
                "movie_ids": [f"$response.body#/results/{place}/movie/id" for place in places]
            },
        },
    )
    for places in ((0,), (1, 0), (2, 0, 1))
] + [
    *(
        (
            _ITEMS,
            "200",
            f"{method} /playlists/{{id}}/items/{{movie_id}}/",
            {
                "parameters": {
                    "id": "$request.path.id",
                    "movie_id": "$response.body#/results/*/movie/id",
                }
            },
        )
        for method in ("patch", "delete")
    ),
    (
        "get /imports/{id}/",
        "200",
        "patch /imports/{id}/rows/{number}/",
        {
            "parameters": {
                "id": "$request.path.id",
                "number": "$response.body#/rows/results/*/number",
            }
        },
    ),
    (
        "post /auth/register/",
        "201",
        "post /auth/token/",
        {
            "requestBody": {
                "username": "$response.body#/user/username",
                "password": "$request.body#/password",
            }
        },
    ),
    *(
        (source, status, f"post /auth/{target}/", {"requestBody": {name: "$response.body#/refresh"}})
        for source, status in (
            ("post /auth/register/", "201"),
            ("post /auth/token/", "200"),
            ("post /auth/token/refresh/", "200"),
        )
        for target, name in (
            ("token/refresh", "refresh"),
            ("token/verify", "token"),
            ("logout", "refresh"),
        )
    ),
    *(
        (
            "post /auth/register/",
            "201",
            f"{method} /profiles/{{username}}/{what}",
            {"parameters": {"username": "$response.body#/user/username"}},
        )
        for method, what in (
            ("get", ""),
            ("get", "stats/"),
            ("get", "ratings/"),
            ("get", "playlists/"),
            ("get", "followers/"),
            ("get", "following/"),
            ("put", "follow/"),
            ("delete", "follow/"),
            ("put", "block/"),
            ("delete", "block/"),
        )
    ),
    ("get /auth/sessions/", "200", "post /auth/logout/all/", {}),
    # A new list in the order that it has; any version of it.
    (
        "post /playlists/",
        "201",
        _ORDER,
        {
            "parameters": {"id": "$response.body#/id", "If-Match": "*"},
            "requestBody": {"movie_ids": "$request.body#/movie_ids"},
        },
    ),
]  # fmt: skip

# Path parameters whose values come from an earlier response.
_LINKED_PARAMETERS = {"id", "username", "number"}
# Slow generation and slow requests are no failures.
_SUPPRESSED = list(HealthCheck)
_PHASES = (Phase.explicit, Phase.generate)


def run_calls(
    schema: Any,
    mode: GenerationMode,
    service: ServiceUnderTest,
    ledger: Ledger,
    *,
    examples: int,
    seeded: bool,
) -> None:
    """Send requests of each operation alone, with data that obeys or violates the schema."""
    checks = [*CHECKS, check_rejection] if mode is GenerationMode.NEGATIVE else CHECKS
    turns = cycle(service.callers)
    for result in schema.get_all_operations():
        operation = result.ok()

        def send(case: Case) -> None:
            with service.rollback():
                response = service.send(case, next(turns))
                ledger.check(case, response, checks)
            service.clear_tokens()

        cases = operation.as_strategy(generation_mode=mode)
        # Operations without input have no bad data.
        with suppress(Unsatisfiable):
            decorate: Any = given(cases)
            configure: Any = _make_settings(examples, seeded)
            configure(decorate(send))()


def _remove_ambiguous_links(schema: Any) -> None:
    """Remove inferred links that leave an id open, or take the id of another kind of resource."""
    schema.analysis.inject_links()
    paths = schema.raw_schema["paths"]
    for source, item in paths.items():
        for operation in (operation for name, operation in item.items() if name != "parameters"):
            for declared in operation["responses"].values():
                links = declared.get("x-links", {})
                for name, link in list(links.items()):
                    target = link["operationRef"].split("/")[2].replace("~1", "/")
                    values = {
                        name.removeprefix("path."): expression
                        for name, expression in link.get("parameters", {}).items()
                    }
                    open_parameters = {
                        parameter["name"]
                        for parameter in paths[target].get("parameters", [])
                        if parameter["in"] == "path" and "enum" not in parameter
                    } - set(values)
                    other = source.split("/")[1] != target.split("/")[1]
                    if open_parameters or (other and values.get("id") == "$request.path.id"):
                        del links[name]
    # The cached operations have the old links.
    schema._operations.clear_cache()


def build_state_machine(schema: Any, service: ServiceUnderTest, ledger: Ledger) -> Any:
    """Return a state machine for `run_chains`: each request uses values of earlier responses."""
    turns = cycle(service.callers)
    _remove_ambiguous_links(schema)
    machine: Any = schema.as_state_machine()
    # A random id or token starts no chain, although schemathesis tries that for each POST.
    random_starts = {
        normalize_name(f"RANDOM -> {operation.label}")
        for operation in (result.ok() for result in schema.get_all_operations())
        if "{" in operation.label or operation.path.startswith("/auth/token/")
    }
    root_rules = machine.root_rules - random_starts
    base: Any = type("Base", (machine,), {**dict.fromkeys(random_starts), "root_rules": root_rules})

    class Chain(base):
        def setup(self) -> None:
            self.caller, self.number = next(turns), 0
            self.context = service.rollback()
            self.context.__enter__()

        def teardown(self) -> None:
            self.context.__exit__(None, None, None)
            service.clear_tokens()

        def _get_target_for_result(self, result: Any) -> Any:
            # An empty list gives no value, and the next request would use a random id.
            if result.response.text.endswith('"results":[]}'):
                return None
            return super()._get_target_for_result(result)

        def step(self, step_input: Any) -> Any:
            self.number += 1
            # Every fourth request is another caller's: to follow, to be refused.
            case = step_input.case
            is_of_another = case.operation.label in _OF_ANOTHER_CALLER
            caller = next(turns) if is_of_another or self.number % 4 == 0 else self.caller
            if is_of_another and caller == self.caller:
                caller = next(turns)
            response = service.send(case, caller)
            self.after_call(response, case)
            ledger.check(case, response, [*CHECKS, use_after_free], recorder=self.recorder)
            applied = {name for location, name in step_input.applied_parameters}
            path_parameters = set(re.findall(r"{(\w+)}", case.operation.path)) & _LINKED_PARAMETERS
            if applied and (not path_parameters or applied & path_parameters):
                ledger.chained[case.operation.label, response.status_code] += 1
            return StepOutput(response, case)

    return Chain


def run_chains(machine: Any, *, chains: int, steps: int, seeded: bool) -> None:
    """Run chains of at most `steps` requests."""
    # Without rollback, Hypothesis may find that a repeated chain behaves differently.
    with suppress(FlakyStrategyDefinition) if not seeded else nullcontext():
        machine.run(settings=_make_settings(chains, seeded, stateful_step_count=steps))


def _make_settings(examples: int, seeded: bool, **more: Any) -> settings:
    return settings(
        max_examples=examples,
        derandomize=seeded,
        database=None,
        deadline=None,
        phases=_PHASES,
        suppress_health_check=_SUPPRESSED,
        **more,
    )


@st.composite
def _draw_file(draw: Any) -> bytes:
    if draw(st.integers(0, 9)) < 8:
        return bytes(draw(st.sampled_from(FILES)))
    return bytes(draw(st.binary(max_size=2000)))


schemathesis.openapi.format("binary", _draw_file())
