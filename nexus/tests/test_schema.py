"""The published schema compared with the routes, the rules of Swagger 2.0, and real responses."""

import json
import re
from datetime import date, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.mail_tokens import make_password_reset_credentials, make_verification_credentials
from accounts.models import PersonalAccessToken, TokenFamily, User
from accounts.services import guest_create
from accounts.tokens import family_create
from movies.dto import CollectionData
from nexus.dev.jobs import run_waiting_jobs
from nexus.dev.pytest_plugin import PASSWORD
from nexus.tests.openapi_document import Document
from nexus.tests.routes import list_api_routes
from social.models import GroupMembership
from tmdb import cache as tmdb_cache
from tmdb.fake.server import FIRST_ID, FakeTmdbServer
from tmdb.services import movie_import

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
FORMATS = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "uuid": UUID,
    "uri": re.compile(r"https?://\S+").fullmatch,
    "email": re.compile(r"[^@\s]+@[^@\s]+").fullmatch,
}
CREDENTIALS = {"username": "carl", "password": PASSWORD}
ACCOUNT = {**CREDENTIALS, "email": "carl@example.org"}
REQUIRED_KEYS = {
    "swagger",
    "info",
    "basePath",
    "consumes",
    "produces",
    "tags",
    "paths",
    "definitions",
}


@pytest.fixture
def schema(api, monkeypatch):
    monkeypatch.setattr("nexus.core.api.schema.SchemaGenerator._schema", None)
    return api.get("/swagger.json").json()


def iterate_operations(schema):
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation, item.get("parameters", [])


def resolve(schema, node):
    while "$ref" in node:
        head, _, name = node["$ref"].rpartition("/")
        assert head == "#/definitions"
        node = schema["definitions"][name]
    return node


def find_mismatches(schema, node, value, where="$"):
    """Return where a value differs from its schema node; undocumented keys count."""
    node = resolve(schema, node)
    if value is None:
        return [] if node.get("x-nullable") else [f"{where}: null"]
    kind = node["type"]
    if not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        return [f"{where}: {value!r} is not a {kind}"]
    mismatches = []
    if "enum" in node and value not in node["enum"]:
        mismatches.append(f"{where}: {value!r} is not in {node['enum']}")
    if isinstance(value, str):
        mismatches += find_text_mismatches(node, value, where)
    elif kind in ("integer", "number"):
        if not node.get("minimum", value) <= value <= node.get("maximum", value):
            mismatches.append(f"{where}: {value} is out of range")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            mismatches += find_mismatches(schema, node["items"], item, f"{where}[{index}]")
    elif isinstance(value, dict):
        known = node.get("properties", {})
        mismatches += [
            f"{where}.{key}: missing" for key in node.get("required", ()) if key not in value
        ]
        for key, child_value in value.items():
            child = known.get(key, node.get("additionalProperties"))
            if child is None:
                mismatches.append(f"{where}.{key}: not in the schema")
            else:
                mismatches += find_mismatches(schema, child, child_value, f"{where}.{key}")
    return mismatches


def find_text_mismatches(node, value, where):
    mismatches = []
    if not node.get("minLength", 0) <= len(value) <= node.get("maxLength", len(value)):
        mismatches.append(f"{where}: {value!r} has a wrong length")
    if "pattern" in node and not re.search(node["pattern"], value):
        mismatches.append(f"{where}: {value!r} does not match {node['pattern']}")
    check = FORMATS.get(node.get("format"))
    try:
        if check is not None and check(value) is None:
            mismatches.append(f"{where}: {value!r} is not a {node['format']}")
    except ValueError:
        mismatches.append(f"{where}: {value!r} is not a {node['format']}")
    return mismatches


def test_the_schema_documents_exactly_the_routes_and_their_methods(schema):
    routes = {
        (route.template.replace("{pk}", "{id}"), method.lower())
        for route in list_api_routes()
        for method in route.methods
    }

    assert {(path, method) for path, method, *_ in iterate_operations(schema)} == routes


def test_json_and_yaml_schemas_are_equal(schema, api):
    response = api.get("/swagger.yaml")

    assert response["Content-Type"].startswith("application/yaml")
    assert yaml.safe_load(response.content) == schema


def test_the_schema_is_public_and_the_same_for_every_caller(schema, make_user, client_of):
    staff = make_user("boss", is_staff=True, is_superuser=True)

    assert client_of(staff).get("/swagger.json").json() == schema
    assert "host" not in schema


def test_opening_an_html_page_first_does_not_truncate_the_schema(schema, api, monkeypatch):
    for page in ("/swagger/", "/redoc/"):
        monkeypatch.setattr("nexus.core.api.schema.SchemaGenerator._schema", None)
        assert api.get(page).status_code == 200
        assert api.get("/swagger.json").json() == schema


def test_generating_the_schema_logs_nothing(schema, api, caplog, monkeypatch):
    monkeypatch.setattr("nexus.core.api.schema.SchemaGenerator._schema", None)

    assert api.get("/swagger.json").json() == schema
    assert [record.getMessage() for record in caplog.records] == []


def test_the_schema_is_valid_swagger_2(schema):
    assert schema["swagger"] == "2.0"
    assert REQUIRED_KEYS | {"securityDefinitions", "security"} == set(schema)
    assert {"title", "version", "description", "license"} <= set(schema["info"])
    identifiers = [operation["operationId"] for *_, operation, _ in iterate_operations(schema)]
    assert len(identifiers) == len(set(identifiers))
    for path, method, operation, shared in iterate_operations(schema):
        parameters = shared + operation["parameters"]
        names = [(parameter["in"], parameter["name"]) for parameter in parameters]
        assert len(names) == len(set(names)), (method, path)
        in_path = {param["name"] for param in parameters if param["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))
        assert sum(parameter["in"] == "body" for parameter in parameters) <= 1
        for parameter in parameters:
            _assert_parameter(schema, parameter)
        assert operation["responses"]
        for requirement in operation["security"]:
            assert set(requirement) <= set(schema["securityDefinitions"])
    for name, definition in schema["definitions"].items():
        _assert_node(schema, definition, name)


def _assert_parameter(schema, parameter):
    if parameter["in"] == "formData":
        assert parameter["type"] == "file"
        return
    if parameter["in"] == "body":
        assert parameter["required"]
        _assert_node(schema, parameter["schema"], parameter["name"])
        return
    assert parameter["in"] in ("path", "query", "header")
    assert parameter["type"] in ("string", "number", "integer", "boolean", "array")
    if parameter["in"] == "path":
        assert parameter["required"]
    if parameter["type"] == "array":
        assert parameter["items"]["type"] in ("string", "number", "integer", "boolean")
    _assert_bounds(parameter)


def _assert_node(schema, node, where):
    if "$ref" in node:
        resolve(schema, node)
        return
    assert node["type"] in TYPES, where
    assert set(node.get("required", ())) <= set(node.get("properties", {})), where
    assert node.get("required") != []
    _assert_bounds(node)
    for name, child in node.get("properties", {}).items():
        _assert_node(schema, child, f"{where}.{name}")
        assert not (child.get("readOnly") and name in node.get("required", ())), where
    if node["type"] == "array":
        _assert_node(schema, node["items"], where)
    if isinstance(node.get("additionalProperties"), dict):
        _assert_node(schema, node["additionalProperties"], where)


def _assert_bounds(node):
    assert node.get("minimum", 0) <= node.get("maximum", float("inf"))
    assert node.get("minLength", 0) <= node.get("maxLength", float("inf"))
    if "pattern" in node:
        assert not re.search(r"\\[AZz]", node["pattern"])
        re.compile(node["pattern"])
    if "enum" in node and "default" in node:
        assert node["default"] in node["enum"]


def test_every_operation_has_a_summary_and_describes_its_statuses(schema):
    for path, method, operation, _ in iterate_operations(schema):
        name = f"{method} {path}"
        assert re.fullmatch(r"[A-Z].{10,118}", operation["summary"]), name
        assert operation["tags"]
        statuses = set(operation["responses"])
        assert {"400", "429", "503"} <= statuses, name
        assert statuses & {"200", "201", "204"}, name
        assert all(response["description"] for response in operation["responses"].values())
        if "{" in path:
            assert "404" in statuses, name
        if operation["security"]:
            assert "401" in statuses, name
        if any(parameter["in"] == "body" for parameter in operation["parameters"]):
            assert {"413", "415"} <= statuses, name
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response["schema"] == {"$ref": "#/definitions/Problem"}, name
            else:
                assert ("schema" in response) == (status not in ("204", "304")), (name, status)


def test_the_schema_requires_a_token_where_anonymous_requests_are_401(schema, api, db, settings):
    settings.RATE_LIMIT_SCALE = 10_000
    for path, method, operation, _ in iterate_operations(schema):
        if operation["tags"] == ["auth"] and not operation["security"]:
            # Their body holds credentials, and wrong ones are a 401 too.
            continue
        pk = UUID(int=1) if path.startswith(("/playlists/", "/auth/sessions/")) else 1
        url = path.format(id=pk, movie_id=1, username="ann", number=1, server="plex")
        response = api.generic(method.upper(), url, "{}", content_type="application/json")
        assert (response.status_code == 401) == (operation["security"] == [{"Bearer": []}]), path


def test_every_body_has_an_example_that_its_serializer_accepts(schema, make_user):
    request = SimpleNamespace(user=make_user("bob"))
    documented = {
        (method, path.replace("{id}", "{pk}")): parameter["schema"]
        for path, method, operation, _ in iterate_operations(schema)
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "body"
    }
    count = 0

    for route in list_api_routes():
        for method, action in route.actions.items():
            body = getattr(route.view, action).contract.body
            if body is None or (method, route.template) not in documented:
                continue
            node = documented[method, route.template]
            example = resolve(schema, node)["example"]
            assert find_mismatches(schema, node, example) == [], route
            serializer = body(data=example, partial=method == "patch", context={"request": request})
            assert serializer.is_valid(), (route, serializer.errors)
            count += 1

    assert count == len(documented)


def test_scores_are_documented_in_half_stars(schema):
    for path, method in (("/ratings/", "post"), ("/ratings/{id}/", "put")):
        (body,) = (
            param for param in schema["paths"][path][method]["parameters"] if param["in"] == "body"
        )
        assert resolve(schema, body["schema"])["properties"]["score"]["multipleOf"] == 0.5


def test_operations_without_a_response_body_produce_no_json(schema):
    for path, method, operation, _ in iterate_operations(schema):
        successes = [status for status in operation["responses"] if status < "300"]
        if successes == ["204"]:
            assert operation["produces"] == ["application/problem+json"], (method, path)


def test_no_response_schema_contains_a_secret(schema):
    responses = json.dumps(
        [operation["responses"] for *_, operation, _ in iterate_operations(schema)]
    )
    pending, seen = set(re.findall(r"#/definitions/(\w+)", responses)), set()
    while pending:
        name = pending.pop()
        seen.add(name)
        node = schema["definitions"][name]
        if name == "CreatedAccessToken":
            # The one response that contains a token besides a session's pair.
            continue
        assert not {"password", "token"} & set(node.get("properties", {})), name
        pending |= set(re.findall(r"#/definitions/(\w+)", json.dumps(node))) - seen


@pytest.fixture
def world(make_user, make_movie, client_of, settings):
    """A member, movies with all fields and with few, ratings, a playlist, and a fake TMDb."""
    settings.RATE_LIMIT_SCALE = 10_000
    full = make_movie(
        "Alien",
        original_title="Alien",
        release_date=date(1979, 5, 25),
        genres=["Horror", "Science Fiction"],
        runtime=117,
        directors=["Ridley Scott"],
        cast=["Sigourney Weaver"],
        keywords=["space"],
        vote_average=8.1,
        vote_count=15_000,
        popularity=80.0,
        collection=CollectionData(8091, "Alien Collection"),
    )
    bare = make_movie("Nothing known")
    more = [make_movie(f"Film {number}", genres=["Horror"]) for number in range(3)]
    ann, bob = make_user("ann"), make_user("bob")
    client = client_of(ann)
    for movie, score in ((full, 5), (more[0], 2), (bare, 4)):
        client.post("/ratings/", {"movie": movie.pk, "score": score, "review": "Words."})
        client_of(bob).post("/ratings/", {"movie": movie.pk, "score": score})
    ids = [full.pk, bare.pk]
    # A member to follow, with each kind of event for the feed.
    review = {"movie": more[1].pk, "score": 4.5, "review": "Fine."}
    reviewed = client_of(bob).post("/ratings/", review).json()["id"]
    client_of(bob).post("/playlists/", {"name": "Days", "movie_ids": ids})
    client_of(bob).put("/profiles/ann/follow/")
    playlist = client.post("/playlists/", {"name": "Nights", "movie_ids": ids}).json()["id"]
    with FakeTmdbServer() as server:
        settings.TMDB_BASE_URL = server.base_url
        settings.TMDB_TOKEN = server.credential
        yield {
            "client": client,
            "imported": movie_import(tmdb_id=FIRST_ID + 5).movie,
            "movie": full,
            "bare": bare,
            "more": more,
            "playlist": playlist,
            "reviewed": reviewed,
        }
    tmdb_cache.build_cache.cache_clear()


def _iterate_identity_calls(world):
    """Yield requests about sessions and passwords; the caller is logged in at the end."""
    ann = User.objects.get(username="ann")
    uid, token = make_password_reset_credentials(User.objects.get(username="bob"))
    family_create(user=ann)
    other = TokenFamily.objects.latest("created_at").id
    yield "GET", "/auth/sessions/", None, 200
    yield "DELETE", f"/auth/sessions/{other}/", None, 204
    yield "DELETE", f"/auth/sessions/{other}/", None, 404
    body = {"name": "Script", "scopes": ["write"]}
    yield "POST", "/auth/access-tokens/", body, 201
    yield "POST", "/auth/access-tokens/", {**body, "scopes": []}, 400
    yield "GET", "/auth/access-tokens/", None, 200
    row = PersonalAccessToken.objects.get()
    yield "DELETE", f"/auth/access-tokens/{row.pk}/", None, 204
    yield "DELETE", f"/auth/access-tokens/{row.pk}/", None, 404
    member = dict(world["client"]._credentials)
    gina = {**ACCOUNT, "username": "gina", "email": "gina@example.org"}
    yield "POST", "/auth/guest/register/", gina, 403
    yield "POST", "/auth/guest/", None, 201
    guest = family_create(user=guest_create())
    world["client"].credentials(HTTP_AUTHORIZATION=f"Bearer {guest.access}")
    yield "GET", "/exports/", None, 403
    yield "PUT", "/profiles/bob/follow/", None, 403
    yield "GET", "/profiles/me/", None, 200
    yield "POST", "/auth/guest/register/", gina, 200
    world["client"].credentials(**member)
    passwords = {"old_password": PASSWORD, "new_password": "another-horse-9"}
    yield "POST", "/auth/password/change/", passwords, 204
    yield "POST", "/auth/password/change/", passwords, 400
    back = {"old_password": "another-horse-9", "new_password": PASSWORD}
    yield "POST", "/auth/password/change/", back, 204
    yield "POST", "/auth/password/reset/", {"email": "bob@example.org"}, 204
    reset = {"uid": uid, "token": token, "new_password": "another-horse-9"}
    yield "POST", "/auth/password/reset/confirm/", reset, 204
    yield "POST", "/auth/password/reset/confirm/", reset, 400
    flora = User.objects.create_user("flora", "flora@example.org", PASSWORD)
    uid, token = make_verification_credentials(flora, flora.email)
    yield "POST", "/auth/email/verify/", {"uid": uid, "token": token}, 204
    yield "POST", "/auth/email/verify/", {"uid": uid, "token": token}, 400
    yield "POST", "/auth/email/verify/resend/", None, 204
    change = {"email": "ann@example.net", "password": PASSWORD}
    yield "POST", "/auth/email/change/", change, 204
    yield "POST", "/auth/email/change/", {**change, "password": "wrong"}, 400
    yield "POST", "/auth/logout/all/", None, 204
    ann.refresh_from_db()
    access = family_create(user=ann).access
    world["client"].credentials(HTTP_AUTHORIZATION=f"Bearer {access}")


def _iterate_calls(world, api):
    """Yield requests of every operation with their expected statuses."""
    movie, bare, playlist = world["movie"].pk, world["bare"].pk, f"/playlists/{world['playlist']}/"
    rating = world["client"].get("/ratings/").json()["results"][-1]["id"]
    yield "POST", "/auth/register/", ACCOUNT, 201
    yield "POST", "/auth/register/", ACCOUNT, 400
    yield "POST", "/auth/token/", CREDENTIALS, 200
    yield "POST", "/auth/token/", {**CREDENTIALS, "password": "wrong"}, 401
    refresh = api.post("/auth/token/", CREDENTIALS).json()["refresh"]
    yield "POST", "/auth/token/verify/", {"token": refresh}, 200
    yield "POST", "/auth/token/refresh/", {"refresh": refresh}, 200
    yield "POST", "/auth/token/refresh/", {"refresh": "x"}, 401
    yield "POST", "/auth/logout/", {"refresh": "x"}, 401
    refresh = api.post("/auth/token/", CREDENTIALS).json()["refresh"]
    yield "POST", "/auth/logout/", {"refresh": refresh}, 204
    yield from _iterate_identity_calls(world)
    for path in ("/movies/", "/movies/top_rated/", "/movies/trending/", "/genres/"):
        yield "GET", path, None, 200
    yield "GET", "/movies/?page_size=1&page=2", None, 200
    yield "GET", "/movies/?year=0", None, 400
    person = world["movie"].credits.first().person_id
    for path in ("", "?search=scott", f"{person}/", f"{person}/movies/"):
        yield "GET", f"/people/{path}", None, 200
    yield "GET", f"/collections/{world['movie'].collection_id}/", None, 200
    imported = world["imported"].pk
    for pk in (imported, bare):
        for tail in ("watch_providers/?region=US", "videos/", "releases/?region=DE"):
            yield "GET", f"/movies/{pk}/{tail}", None, 200
        yield "GET", f"/movies/{pk}/?append=videos,watch_providers&region=US", None, 200
    yield "GET", f"/movies/{imported}/watch_providers/", None, 400
    yield "GET", "/providers/?region=DE", None, 200
    yield "GET", "/movies/?provider=8|337&region=DE&monetization=flatrate", None, 200
    yield "GET", "/movies/recommendations/?on_my_services=true", None, 400
    for pk in (movie, bare):
        for tail in ("", "match_score/", "similar/", "reviews/"):
            yield "GET", f"/movies/{pk}/{tail}", None, 200
        yield "GET", f"/movies/{pk}/?append=similar,reviews,state", None, 200
        yield "GET", f"/movies/states/?ids={pk}", None, 200
    yield "GET", "/movies/404404/", None, 404
    yield "GET", "/movies/recommendations/", None, 200
    yield "GET", "/movies/recommendations/?diversity=0.5", None, 200
    yield "GET", "/movies/onboarding/", None, 200
    yield "PUT", f"/movies/{movie}/feedback/", {"kind": "more"}, 200
    yield "PUT", "/movies/404404/feedback/", {"kind": "hide"}, 404
    yield "PUT", f"/movies/{movie}/feedback/", {"kind": "loud"}, 400
    yield "GET", "/feedback/", None, 200
    yield "DELETE", f"/movies/{movie}/feedback/", None, 204
    yield "DELETE", f"/movies/{movie}/feedback/", None, 404
    yield "GET", "/profiles/me/", None, 200
    yield "PUT", "/profiles/me/", {"bio": "Films."}, 200
    yield "PATCH", "/profiles/me/", {"favorite_genres": ["Drama"]}, 200
    yield "PUT", "/profiles/bob/follow/", None, 204
    yield "PUT", "/profiles/ann/follow/", None, 403
    for tail in ("", "stats/", "ratings/", "playlists/", "followers/", "following/"):
        yield "GET", f"/profiles/bob/{tail}", None, 200
    yield "GET", "/profiles/nobody/", None, 404
    yield "GET", "/feed/?page_size=2", None, 200
    yield "GET", "/feed/?cursor=x", None, 400
    yield "POST", "/watchlist/", {"movie": movie}, 201
    yield "POST", "/watchlist/", {"movie": movie}, 200
    yield "PUT", f"/watchlist/{movie}/", None, 200
    yield "GET", "/watchlist/", None, 200
    yield "GET", "/watchlist/calendar/?region=DE", None, 200
    yield "POST", "/watchlist/calendar/feed/", None, 200
    yield "DELETE", f"/watchlist/{movie}/", None, 204
    seen = {"movie": movie, "watched_at": "2020-02-29T20:15:00Z"}
    yield "POST", "/history/", seen, 201
    yield "POST", "/history/", seen, 200
    yield "GET", "/history/", None, 200
    viewing = world["client"].get("/history/").json()["results"][0]["id"]
    yield "DELETE", f"/history/{viewing}/", None, 204
    # Takes no session: social/tests/test_scrobbles.py.
    yield "POST", "/scrobbles/plex/", {"event": "media.scrobble"}, 403
    yield "POST", "/groups/", {"name": "Friday"}, 201
    yield "GET", "/groups/", None, 200
    group = world["client"].get("/groups/").json()["results"][0]
    path = f"/groups/{group['id']}/"
    yield "GET", path, None, 200
    yield "PATCH", path, {"name": "Saturday"}, 200
    yield "POST", "/groups/join/", {"join_code": group["join_code"]}, 200
    yield "POST", "/groups/join/", {"join_code": "nobody"}, 404
    yield "PUT", f"{path}votes/{movie}/", {"vote": "yes"}, 200
    yield "GET", f"{path}votes/", None, 200
    yield "DELETE", f"{path}votes/{movie}/", None, 204
    yield "POST", f"{path}join_code/", None, 200
    fellow = GroupMembership(group_id=group["id"], user=User.objects.get(username="bob"))
    fellow.save()
    yield "GET", f"{path}recommendations/", None, 200
    yield "GET", f"{path}recommendations/?search=alien", None, 400
    yield "DELETE", f"{path}members/bob/", None, 204
    yield "DELETE", f"{path}members/ann/", None, 403
    yield "GET", f"{path}recommendations/", None, 409
    yield "POST", f"{path}leave/", None, 204
    yield "DELETE", path, None, 404
    yield "POST", "/groups/", {"name": "Friday"}, 201
    group = world["client"].get("/groups/").json()["results"][0]
    yield "DELETE", f"/groups/{group['id']}/", None, 204
    report = {"reason": "other", "comment": "Dull."}
    yield "POST", f"/ratings/{world['reviewed']}/report/", report, 201
    yield "POST", f"/ratings/{world['reviewed']}/report/", report, 200
    yield "GET", "/profiles/stats/?year=2026", None, 200
    yield "GET", "/profiles/stats/", None, 200
    yield "GET", "/ratings/", None, 200
    yield "POST", "/ratings/", {"movie": world["more"][1].pk, "score": 3.5}, 201
    yield "POST", "/ratings/", {"movie": world["more"][1].pk, "score": 4}, 200
    yield "POST", "/ratings/", {"movie": 404404, "score": 9}, 400
    yield "GET", f"/ratings/{rating}/", None, 200
    yield "PUT", f"/ratings/{rating}/", {"score": 1}, 200
    yield "PATCH", f"/ratings/{rating}/", {"score": 1.5}, 200
    yield "DELETE", f"/ratings/{rating}/", None, 204
    yield "GET", f"/ratings/{rating}/", None, 404
    yield "GET", "/playlists/", None, 200
    yield "POST", "/playlists/", {"name": "More"}, 201
    yield "GET", playlist, None, 200
    yield "POST", playlist + "copy/", {}, 201
    yield "PUT", playlist, {"name": "Evenings"}, 200
    yield "PATCH", playlist, {"description": "For rain."}, 200
    yield "GET", playlist + "items/", None, 200
    yield "POST", playlist + "items/", {"movie_ids": [movie, 404404]}, 200
    yield "PUT", playlist + "items/order/", {"movie_ids": [bare, movie]}, 200
    yield "PUT", playlist + "items/order/", {"movie_ids": [bare, movie]}, 204
    yield "PATCH", f"{playlist}items/{movie}/", {"note": "Loud."}, 200
    yield "DELETE", f"{playlist}items/{movie}/", None, 204
    yield "DELETE", playlist, None, 204
    table = f"Date,Name,Year,Letterboxd URI,Rating\n2024-01-01,Alien,1979,u,4\n,,,,\n,Film 0,,u,{'9' * 9}"
    yield "POST", "/imports/", table, 201
    yield "POST", "/imports/", table, 200
    yield "GET", "/imports/", None, 200
    sent = f"/imports/{world['client'].get('/imports/').json()['results'][0]['id']}/"
    yield "GET", sent, None, 200
    yield "POST", sent + "undo/", None, 409
    assert run_waiting_jobs() == []
    yield "GET", sent, None, 200
    yield "PATCH", sent + "rows/1/", {"movie": bare}, 200
    yield "PATCH", sent + "rows/2/", {"skip": True}, 400
    yield "GET", "/imports/template.csv", None, 200
    yield "POST", sent + "match/", None, 202
    yield "POST", sent + "match/", None, 200
    assert run_waiting_jobs() == []
    for what in ("apply", "undo"):
        yield "POST", f"{sent}{what}/", {} if what == "apply" else None, 202
        yield "POST", f"{sent}{what}/", {} if what == "apply" else None, 200
        assert run_waiting_jobs() == []
        yield "GET", sent, None, 200
    yield "DELETE", sent, None, 204
    yield "GET", "/exports/", None, 200
    yield "GET", "/tmdb/search/?query=staircase", None, 200
    yield "POST", "/tmdb/import/", {"tmdb_id": FIRST_ID}, 201
    yield "POST", "/tmdb/import/", {"tmdb_id": FIRST_ID}, 200
    yield "POST", "/tmdb/import/", {"imdb_id": f"tt{FIRST_ID + 9}"}, 201
    yield "POST", "/tmdb/import/bulk/", {"tmdb_ids": [FIRST_ID, FIRST_ID + 8, 42]}, 200
    yield "GET", "/tmdb/status/", None, 200
    yield "DELETE", "/profiles/bob/follow/", None, 204
    yield "PUT", "/profiles/bob/block/", None, 204
    yield "GET", "/blocks/", None, 200
    yield "DELETE", "/profiles/bob/block/", None, 204
    yield "DELETE", "/profiles/me/", {"password": "wrong"}, 400
    yield "DELETE", "/profiles/me/", {"password": PASSWORD}, 204


def _find_operation(schema, method, path):
    path = path.partition("?")[0]
    # Paths without parameters win, as in the URL configuration.
    for template in sorted(schema["paths"], key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return template, schema["paths"][template][method.lower()]
    raise AssertionError(path)


def test_real_responses_match_the_schema_of_their_status(schema, world, api):
    called, errors = set(), []
    document = Document(api.get("/openapi.json").json())

    for method, path, body, status in _iterate_calls(world, api):
        data = "" if body is None else json.dumps(body)
        headers = {"If-Match": "*"} if path.endswith("/order/") else {}
        if path == "/imports/" and body is not None:
            file = SimpleUploadedFile("ratings.csv", body.encode())
            response = world["client"].post(path, {"file": file}, format="multipart")
        else:
            response = world["client"].generic(
                method, path, data, content_type="application/json", headers=headers
            )
        assert response.status_code == status, (method, path, response.content)
        template, operation = _find_operation(schema, method, path)
        called.add((template, method.lower()))
        errors += [
            f"{method} {path} {status}, OpenAPI: {mismatch}"
            for mismatch in document.find_response_mismatches(template, method.lower(), response)
        ]
        declared = operation["responses"][str(status)]
        if declared.get("schema", {}).get("type") == "file":
            assert response["Content-Type"] in operation["produces"]
        elif "schema" in declared:
            mismatches = find_mismatches(schema, declared["schema"], response.json())
            errors += [f"{method} {path} {status}: {mismatch}" for mismatch in mismatches]
        else:
            assert response.content == b""
        if body is not None and status < 300:
            (parameter,) = [
                param for param in operation["parameters"] if param["in"] in ("body", "formData")
            ]
            node = resolve(schema, parameter["schema"]) if "schema" in parameter else {}
            missing = [name for name in node.get("required", ()) if name not in body]
            errors += [
                f"{method} {path}: {name} is required by the schema alone" for name in missing
            ]

    assert errors == []
    assert called == {(path, method) for path, method, *_ in iterate_operations(schema)}
