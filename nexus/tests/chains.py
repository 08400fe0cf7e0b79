"""Calls made up from the published schema, alone and in chains, with what they found.

schemathesis makes the data and infers which answer feeds which call (`POST /playlists/` gives the id
of `PATCH /playlists/{id}/`); this says what it cannot know: films that are there, whose token a call
carries, and what is an error here.
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
#: The one kind of 5xx that is an answer of the contract's own here: TMDb's trouble.
EXPECTED_5XX = {"tmdb_not_configured", "tmdb_unavailable"}
# Files that an import reads, beside the random bytes.
FILES = (
    b"Date,Name,Year,Letterboxd URI,Rating\n2024-01-02,Alien,1979,https://boxd.it/a,4.5\n",
    b"Date,Name,Year,Letterboxd URI,Rating\n2024-01-02,Nil,1,https://boxd.it/b,5\nx,Ran,1985,x,9\n",
    b"Const,Your Rating,Date Rated,Title,URL,Title Type\ntt9000001,8,2024-01-02,Alien,,Movie\n",
    b'[{"rated_at": "2024-01-02T00:00:00Z", "rating": 8, "movie": {"title": "Alien", "ids": {}}}]',
)


def told_as_a_problem(context: CheckContext, answer: Response, case: Case) -> None:
    """Every error is a problem document, and none is the server's own."""
    status = answer.status_code
    if status < 400:
        return
    kind = answer.headers.get("content-type", [""])[0]
    assert kind == "application/problem+json", f"{status} as {kind}"
    body = json.loads(answer.content)
    assert PROBLEM_KEYS <= set(body) <= PROBLEM_KEYS | {"errors"}, f"keys {sorted(body)}"
    assert status < 500 or body["code"] in EXPECTED_5XX, f"{status} {body['code']}"
    assert body["status"] == status, "the document tells another status"
    assert [body["request_id"]] == answer.headers["x-request-id"], "another request id"
    assert body["detail"], "no detail"


def of_a_declared_media_type(context: CheckContext, answer: Response, case: Case) -> None:
    """As the schema says, where there is a body: Swagger 2 cannot tell answers apart."""
    if answer.status_code not in (204, 304):
        content_type_conformance(context, answer, case)


CHECKS = [
    told_as_a_problem,
    status_code_conformance,
    of_a_declared_media_type,
    response_headers_conformance,
    response_schema_conformance,
]


#: What clients live by: each must have been answered 2xx about a thing of an earlier answer.
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


def refused_where_it_breaks_the_schema(context: CheckContext, answer: Response, case: Case) -> None:
    """As the library's check, but that blanks around a text are no part of it: they are cut off.

    Of a form it cannot tell: what it left out of one may have been made up again as a file.
    """
    body = case.body if isinstance(case.body, dict) else {}
    texts = [*(case.query or {}).values(), *body.values()]
    if case.media_type == "multipart/form-data":
        return
    if not any(isinstance(each, str) and each != each.strip() for each in texts):
        negative_data_rejection(context, answer, case)


@dataclass
class Ledger:
    """What was called, and what was wrong with the answers."""

    #: Calls by operation and status.
    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: Of these, the ones with a value out of an earlier answer in their path.
    chained: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: The ids of the requests that were answered 5xx.
    failed: set[str] = field(default_factory=set)
    #: A description by operation, check and first line, so that each fault is told once.
    findings: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def check(self, case: Case, answer: Response, checks: Sequence[Any], **more: Any) -> None:
        label = case.operation.label
        self.calls[label, answer.status_code] += 1
        if answer.status_code >= 500:
            self.failed.update(answer.headers.get("x-request-id", []))
        if answer.status_code in (414, 431):
            # The server's, before there is an operation that could declare it.
            checks = [told_as_a_problem]
        try:
            case.validate_response(answer, checks=list(checks), **more)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(case, answer, failure)
        except AssertionError as failure:
            self._note(case, answer, failure)

    def _note(self, case: Case, answer: Response, failure: Any) -> None:
        title = str(getattr(failure, "title", "Failure"))
        message = " ".join(str(getattr(failure, "message", failure)).split())[:300]
        key = (case.operation.label, title, message[:60])
        sent = f"{case.method} {case.formatted_path} {dict(case.query or {})} {case.body!r}"
        self.findings.setdefault(
            key, f"{key[0]}: {title}: {message}\n    {sent[:300]}\n    {answer.text[:300]}"
        )

    def with_status(self, low: int, high: int, *, chained: bool = False) -> int:
        counted = self.chained if chained else self.calls
        return sum(number for (_, status), number in counted.items() if low <= status < high)

    def operations(self, *, chained: bool = False) -> set[str]:
        """Those that answered 2xx at least once."""
        counted = self.chained if chained else self.calls
        return {label for (label, status) in counted if 200 <= status < 300}

    def table(self) -> Iterator[str]:
        """A line an operation: calls, how many of them in chains, and calls by status."""
        yield f"{'operation':<48} {'calls':>6} {'chained':>7}  by status"
        for label in sorted({label for label, _ in self.calls}):
            by = {status: n for (name, status), n in sorted(self.calls.items()) if name == label}
            chained = sum(n for (name, _), n in self.chained.items() if name == label)
            told = " ".join(f"{status}:{n}" for status, n in by.items())
            yield f"{label:<48} {sum(by.values()):>6} {chained:>7}  {told}"


@dataclass
class Service:
    """The service under test, and who calls it."""

    #: Called with a case and headers.
    call: Callable[[Case, dict[str, str]], Response]
    #: A new access token of that caller, who is made again where they have gone.
    token: Callable[[str], str]
    callers: Sequence[str]
    #: Around each chain, to take back what it changed.
    undone: Callable[[], AbstractContextManager[Any]] = nullcontext
    #: After each call, for what the service does in the background.
    settle: Callable[[Case, Response], None] = lambda case, answer: None
    _tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, case: Case, caller: str) -> Response:
        token = self._tokens.get(caller) or self.token(caller)
        self._tokens[caller] = token
        answer = self.call(case, {"Authorization": f"Bearer {token}"})
        self.settle(case, answer)
        if answer.status_code == 401:
            # The session may have ended with the call before.
            self._tokens.pop(caller)
        return answer

    def forget(self) -> None:
        """Of sessions that were taken back there are no tokens."""
        if self.undone is not nullcontext:
            self._tokens.clear()


def loaded(raw: Mapping[str, Any]) -> Any:
    """The schema as schemathesis knows it."""
    # No configuration of the folder it is run in.
    config = schemathesis.Config()
    # Whose token a call carries is the Service's to say.
    config.projects.default.generation.update(with_security_parameters=False)
    return schemathesis.openapi.from_dict({**deepcopy(raw), "host": "testserver"}, config=config)


# Texts that only the service makes, one of two ways to say the same, and pages that are not there.
_NOT_ASKED = {"cursor", "q", "min_score", "max_score"}
# The order of a playlist is told with what it was.
_PARAMETERS: dict[str, dict[str, Any]] = {"page": {"maximum": 1}, "If-Match": {"required": True}}


def grounded(raw: Mapping[str, Any], *, films: Sequence[int], tmdb_ids: Sequence[int]) -> Any:
    """The schema with values that lead somewhere, and links that cannot be inferred."""
    schema = deepcopy(dict(raw))
    film = {"type": "integer", "enum": list(films)}
    tmdb_id = {"type": "integer", "enum": list(tmdb_ids)}
    known: dict[str, Any] = {
        "movie": film,
        "movie_ids": {"type": "array", "items": film, "maxItems": 3, "uniqueItems": True},
        "tmdb_id": tmdb_id,
        "tmdb_ids": {"type": "array", "items": tmdb_id, "maxItems": 3},
        "username": {"type": "string", "pattern": "^u[a-z0-9]{9,14}$"},
        "watched_at": {"type": "string", "enum": ["2020-02-29T12:00:00Z", "1999-12-31T23:59:59Z"]},
        "avatar_url": {"type": "string", "enum": ["", "https://a.example/face.png"]},
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
            of_a_film = parameter["name"] == "movie_id" or template.startswith("/movies/{id}/")
            if parameter["in"] == "path" and of_a_film:
                parameter["enum"] = list(films)
        for operation in (each for name, each in item.items() if name != "parameters"):
            operation["parameters"] = [
                {**each, **_PARAMETERS.get(each["name"], {})}
                for each in operation["parameters"]
                if each["in"] != "query" or each["name"] not in _NOT_ASKED
            ]
            for parameter in operation["parameters"]:
                if parameter["in"] == "body":
                    name = parameter["schema"]["$ref"].rpartition("/")[2]
                    parameter["schema"] = deepcopy(schema["definitions"][name])
                    properties = parameter["schema"]["properties"]
                    properties.update({key: known[key] for key in known if key in properties})
                    if "imdb_id" in properties and "tmdb_id" in properties:
                        # One or the other.
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
            # As its own links are: `*` in an expression is any item of a list.
            "x-schemathesis": {"is_inferred": True},
            **link,
        }
    return loaded(schema)


_ITEMS, _ORDER = "get /playlists/{id}/items/", "put /playlists/{id}/items/order/"
_OF_PLAYLIST = {"id": "$request.path.id", "If-Match": "$response.header.etag"}
#: Source, status, target, and what goes from the one to the other.
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
]  # fmt: skip

# Parts of a path that only an earlier answer gives.
_GIVEN = {"id", "username", "number"}
# How long it takes to make and to send a case is no fault of the case.
_LENIENT = list(HealthCheck)
_ONCE = (Phase.explicit, Phase.generate)


def run_calls(
    schema: Any,
    mode: GenerationMode,
    service: Service,
    ledger: Ledger,
    *,
    examples: int,
    seeded: bool,
) -> None:
    """Each operation alone, with data that keep to the schema or with data that do not."""
    checks = (
        [*CHECKS, refused_where_it_breaks_the_schema] if mode is GenerationMode.NEGATIVE else CHECKS
    )
    turns = cycle(service.callers)
    for result in schema.get_all_operations():
        operation = result.ok()

        def called(case: Case) -> None:
            with service.undone():
                answer = service.ask(case, next(turns))
                ledger.check(case, answer, checks)
            service.forget()

        cases = operation.as_strategy(generation_mode=mode)
        # Where nothing is sent, nothing bad can be.
        with suppress(Unsatisfiable):
            tried: Any = given(cases)
            limited: Any = _settings(examples, seeded)
            limited(tried(called))()


def _prune(schema: Any) -> None:
    """Take out inferred links that lead nowhere: they leave an id open, or take another thing's."""
    schema.analysis.inject_links()
    paths = schema.raw_schema["paths"]
    for source, item in paths.items():
        for operation in (each for name, each in item.items() if name != "parameters"):
            for response in operation["responses"].values():
                links = response.get("x-links", {})
                for name, link in list(links.items()):
                    target = link["operationRef"].split("/")[2].replace("~1", "/")
                    given_ = {
                        name.removeprefix("path."): expression
                        for name, expression in link.get("parameters", {}).items()
                    }
                    open_ = {
                        each["name"]
                        for each in paths[target].get("parameters", [])
                        if each["in"] == "path" and "enum" not in each
                    } - set(given_)
                    other = source.split("/")[1] != target.split("/")[1]
                    if open_ or (other and given_.get("id") == "$request.path.id"):
                        del links[name]
    # What was read of the schema before holds the links as they were.
    schema._operations.clear_cache()


def chains_of(schema: Any, service: Service, ledger: Ledger) -> Any:
    """A machine for `run_chains`: each call takes what it can from the answers before it."""
    turns = cycle(service.callers)
    _prune(schema)
    machine: Any = schema.as_state_machine()
    # An id or a token out of the air begins no chain; schemathesis tries that of each POST.
    hopeless = {
        normalize_name(f"RANDOM -> {operation.label}")
        for operation in (each.ok() for each in schema.get_all_operations())
        if "{" in operation.label or operation.path.startswith("/auth/token/")
    }
    begun = machine.root_rules - hopeless
    base: Any = type("Base", (machine,), {**dict.fromkeys(hopeless), "root_rules": begun})

    class Chain(base):
        def setup(self) -> None:
            self.caller, self.number = next(turns), 0
            self.context = service.undone()
            self.context.__enter__()

        def teardown(self) -> None:
            self.context.__exit__(None, None, None)
            service.forget()

        def _get_target_for_result(self, result: Any) -> Any:
            # An empty list feeds nothing: what would follow takes an id out of the air.
            if result.response.text.endswith('"results":[]}'):
                return None
            return super()._get_target_for_result(result)

        def step(self, given_: Any) -> Any:
            self.number += 1
            # Now and then somebody else comes along: to report, to follow, to be refused.
            caller = next(turns) if self.number % 4 == 0 else self.caller
            case = given_.case
            answer = service.ask(case, caller)
            self.after_call(answer, case)
            ledger.check(case, answer, [*CHECKS, use_after_free], recorder=self.recorder)
            taken = {name for location, name in given_.applied_parameters}
            named = set(re.findall(r"{(\w+)}", case.operation.path)) & _GIVEN
            if taken and (not named or taken & named):
                ledger.chained[case.operation.label, answer.status_code] += 1
            return StepOutput(answer, case)

    return Chain


def run_chains(machine: Any, *, chains: int, steps: int, seeded: bool) -> None:
    """Chains of at most this many calls."""
    # Where nothing is taken back, Hypothesis may notice that a chain it tries again goes otherwise.
    with suppress(FlakyStrategyDefinition) if not seeded else nullcontext():
        machine.run(settings=_settings(chains, seeded, stateful_step_count=steps))


def _settings(examples: int, seeded: bool, **more: Any) -> settings:
    return settings(
        max_examples=examples,
        derandomize=seeded,
        database=None,
        deadline=None,
        phases=_ONCE,
        suppress_health_check=_LENIENT,
        **more,
    )


@st.composite
def _file(draw: Any) -> bytes:
    if draw(st.integers(0, 9)) < 8:
        return bytes(draw(st.sampled_from(FILES)))
    return bytes(draw(st.binary(max_size=2000)))


schemathesis.openapi.format("binary", _file())
