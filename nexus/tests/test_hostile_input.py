"""Bad values for every parameter, path part, body field and header: a client error that says why, and
never a server error.

The inputs are read from the published schema, so that a new one is tested without a change here.
"""

import json
from types import SimpleNamespace

import pytest
from django.db import transaction

from accounts.mail_tokens import make_password_reset_credentials
from accounts.models import TokenFamily
from accounts.tokens import family_create
from nexus.dev.pytest_plugin import PASSWORD
from nexus.tests.hostile_values import CURSORS, MOMENT_CURSORS, TEXTS
from social.models import Import, ImportRow

# JSON values: first those that the parser accepts, so that the fields see them.
VALUES = [
    *("null", "true", "false", "0", "-0", "-1", "1.5", "2147483648", "9223372036854775808"),
    *("18446744073709551616", "9" * 400, "0.1e-400", "1e308", '""', '" "', '"005"', '"1_0"', '"١"'),
    *('"nan"', '"1e5"', '"1.0"', '"+1"', "[]", "{}", "[[]]", '[{"a": []}]', "[null]", "[0]"),
    '["005"]',
    *("[9223372036854775808]", "[true]", '{"a": {"b": {}}}', '"\\u202e"', '"../../etc/passwd"'),
    *('"' + "x" * 100_000 + '"', "[" + "1," * 5000 + "1]", '"javascript:alert(1)"'),
    '"https://\\u0001"',
    *('"https://[::"', '"a@b@c"', '"' + "9" * 5000 + '"', "[" * 20 + "]" * 20),
]  # fmt: skip
UNPARSABLE = [
    *("1e999", "-1e999", "1e400", "NaN", "Infinity", "-Infinity", "9" * 5000, '"\\u0000"'),
    *('"a\\u0000b"', '"\\ud800"', '"\\udc00x"', '["\\u0000"]', "[1e999]", '{"\\u0000": 1}'),
    *('{"\\ud800": 1}', "[" * 40 + "]" * 40, "[" * 1000 + "]" * 1000),
    *('{"a":' * 1000 + "1" + "}" * 1000, "[" * 100_000 + "]" * 100_000),
]
BODIES = [
    *(b"{", b"}", b'{"a"}', b"{'a': 1}", b'{"a": 1,}', b"\xff\xfe", b'{"a": "\xff"}', b"\x00"),
    *(b"\xef\xbb\xbf{}", b'{"a": 1}{"b": 2}', b"a=1&b=2", b"<a/>", b'{"\xed\xa0\x80": 1}', b"nul"),
    *('{"a": 1}'.encode("utf-16"), b'"\\u12"', b'{"a": "\n"}', b'{"a": 1' + b" " * 250_000 + b"x"),
    *(b"[" * 100_000, b'{"a":' * 50_000, b"[" * 1000 + b"]" * 1000, b"1" * 5000, b"-", b"1e", b"01"),
]  # fmt: skip
NOT_OBJECTS = [b"null", b"true", b"1", b'"text"', b"[]", b"[{}]", b"[null]"]
MEDIA_TYPES = [
    *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/xml"),
    *("multipart/form-data; boundary=x", "application/json5", "json", "a/b/c", ";"),
    *("application/vnd.api+json", "x" * 5000, "text/plain; charset=\x7f"),
]  # fmt: skip
HEADERS = [
    (
        "Authorization",
        ["Bearer", "Bearer ", "Bearer a b", "Bearer x", "Bearer \xff", "Bearer a.b.c", "Basic eA==",
         "Bearer " + "x" * 5000, "Bearer eyJhbGciOiJub25lIn0.e30.", "bearer \x00", "Token x", "\xe9"],
    ),
    ("If-Match", ["", "*", '"', '"1"', "W/", "1-2-3", '"' + "9" * 5000 + '"', "\xff", ",,,", '"-"']),
    ("If-None-Match", ["", "*", '"', "W/", "\xff", "," * 5000]),
    ("If-Modified-Since", ["", "x", "Thu, 99 Foo 99999 99:99:99 GMT", "Thu, 01 Jan 0001 00:00:00 GMT"]),
    ("Accept", ["", "x", "*/*;q=x", "text/html", "application/json; version=\xff", "a/b/c", ";"]),
    ("Accept-Language", ["x" * 5000, "\xff", "de-" * 2000]),
    ("X-Request-ID", ["", " ", "x" * 65, "a b", "\xff", "<script>", "a\x00b", "%0A"]),
    ("X-Forwarded-For", ["", "x", "\xff", "::1", "1.2.3.4, " * 500, "999.0.0.1"]),
    ("X-HTTP-Method-Override", ["DELETE", "\xff"]),
    ("Cookie", ["sessionid=\x00", "sessionid=\xff", "csrftoken=" + "x" * 4000, "=;=;=", ";" * 500]),
    ("Origin", ["null", "x", "https://[", "http://a:b", "\xff", "https://a.example:99999"]),
    ("Referer", ["x", "https://[", "\xff"]),
    ("Host", ["", "x y", "[", "[::1", "evil.example", "testserver:x", "testserver:99999", "\xff", "a" * 300]),
    ("Content-Length", ["x", "-1", "1e9", "٣", "9" * 5000, ""]),
]  # fmt: skip
PATHS = [
    *("/%ff", "/%00", "/%", "/%zz", "/movies/%2e%2e/", "/movies%2F1/", "/movies/1%0A/", "/\\"),
    *("/static/../manage.py", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/%00", "/static/"),
    "/api",
    *("/api/%ff/", "/apI/", "/" + "a" * 8000, "/" + "a/" * 2000, "/%ed%a0%80/"),
    "/movies/1;a=b/",
    *("/admin/%00/", "/swagger/%ff", "/health/%00", "/swagger.json/x", "/favicon.ico"),
    "/robots.txt",
]  # fmt: skip
JSON = "application/json"
# The size limit of an error response, whatever the request contains.
MAX_PROBLEM_BYTES = 16_384


@pytest.fixture
def world(make_user, make_movie, client_of, settings):
    """A member with a rating and a playlist, and a valid body for each write."""
    settings.RATE_LIMIT_SCALE = 10_000
    ann = make_user("ann")
    client = client_of(ann)
    client.raise_request_exception = False
    movie, other = make_movie("Alien", genres=["Horror"]), make_movie("Brazil")
    rating = client.post("/ratings/", {"movie": movie.pk, "score": 4, "review": "Good."}).json()[
        "id"
    ]
    ids = [movie.pk, other.pk]
    playlist = client.post("/playlists/", {"name": "Nights", "movie_ids": ids}).json()["id"]
    group = client.post("/groups/", {"name": "Friday"}).json()
    sent = Import.objects.create(user=ann, format="imdb", sha256="x", state="ready", step="")
    ImportRow.objects.create(
        of=sent, number=1, file="r.csv", line=2, kind="watchlist", movie_id=movie.pk
    )
    refresh = family_create(user=ann).refresh
    uid, token = make_password_reset_credentials(ann)
    session = str(TokenFamily.objects.first().id)
    account = {"username": "new", "email": "new@example.org", "password": PASSWORD}
    bodies = {
        "/auth/register/": {**account, "password_confirm": PASSWORD},
        "/auth/guest/register/": {**account, "password_confirm": PASSWORD},
        "/auth/token/": {"username": "ann", "password": PASSWORD},
        "/auth/token/refresh/": {"refresh": refresh},
        "/auth/token/verify/": {"token": refresh},
        "/auth/logout/": {"refresh": refresh},
        "/auth/access-tokens/": {"name": "Script", "scopes": ["read"]},
        "/auth/password/change/": {"old_password": PASSWORD, "new_password": "another-horse-9"},
        "/auth/password/reset/": {"email": "ann@example.org"},
        "/auth/password/reset/confirm/": {"uid": uid, "token": token, "new_password": PASSWORD},
        "/auth/email/verify/": {"uid": uid, "token": token},
        "/auth/email/change/": {"email": "ann@example.net", "password": PASSWORD},
        "/profiles/me/": {"password": PASSWORD},
        "/ratings/": {"movie": other.pk, "score": 3.5},
        "/ratings/{id}/": {"score": 3.5},
        "/ratings/{id}/report/": {"reason": "spam"},
        "/groups/": {"name": "Friday"},
        "/groups/{id}/": {"name": "Saturday"},
        "/groups/join/": {"join_code": group["join_code"]},
        "/groups/{id}/votes/{movie_id}/": {"vote": "yes"},
        "/watchlist/": {"movie": movie.pk},
        "/history/": {
            "movie": movie.pk,
            "watched_on": "2020-02-29",
            "watched_at": "2020-02-29T12:00:00Z",
            "note": "Late.",
            "keep_in_watchlist": True,
        },
        "/movies/{id}/feedback/": {"kind": "less"},
        "/playlists/": {"name": "More"},
        "/playlists/{id}/": {"name": "Fewer"},
        "/playlists/{id}/copy/": {"name": "Mine too"},
        "/playlists/{id}/items/": {"movie_ids": [movie.pk]},
        "/playlists/{id}/items/order/": {"movie_ids": ids},
        "/playlists/{id}/items/{movie_id}/": {"note": "Loud."},
        "/imports/{id}/rows/{number}/": {"skip": True},
        "/imports/{id}/apply/": {"on_conflict": "keep"},
        "/tmdb/import/": {"tmdb_id": 603},
    }
    schema = client.get("/swagger.json").json()

    def path(template, **parts):
        pk = {
            "/playlists/": playlist,
            "/ratings/": rating,
            "/imports/": sent.pk,
            "/groups/": group["id"],
            "/auth/sessions/": session,
        }
        matching = [value for start, value in pk.items() if template.startswith(start)]
        known = {
            "id": matching[0] if matching else movie.pk,
            "movie_id": movie.pk,
            "username": "ann",
            "number": 1,
            "server": "plex",
            **parts,
        }
        return template.format(**known)

    return SimpleNamespace(client=client, schema=schema, path=path, bodies=bodies)


def _list_operations(schema, *methods):
    for template, item in schema["paths"].items():
        for method in methods:
            if method in item:
                parameters = item.get("parameters", []) + item[method]["parameters"]
                yield template, method.upper(), parameters


def _list_fields(schema, parameters):
    """Return the schemas of the body's fields by name, or None if the operation has no body."""
    for parameter in parameters:
        if parameter["in"] == "body":
            name = parameter["schema"]["$ref"].rpartition("/")[2]
            return schema["definitions"][name]["properties"]
    return None


def _send(world, method, path, body=b"", *, query="", content_type=JSON, **headers):
    """Send a request, roll back its changes and return the response."""
    if "/items/order/" in path:
        headers.setdefault("If-Match", "*")
    client, extra = world.client, {"content_type": content_type, "QUERY_STRING": query}
    if method == "GET":
        return client.generic(method, path, body, headers=headers, **extra)
    with transaction.atomic():
        response = client.generic(method, path, body, headers=headers, **extra)
        transaction.set_rollback(True)
    return response


def _find_faults(response, *names):
    """Return what is wrong with the response to bad input; a 400 may only name fields in `names`."""
    status = response.status_code
    if status < 400:
        return []
    if response["Content-Type"] != "application/problem+json":
        return [f"{status} as {response['Content-Type']}"]
    body = json.loads(response.content)
    if status >= 500 and body["code"] != "tmdb_not_configured":
        return [f"{status} {body['code']}"]
    faults = []
    if not {"type", "title", "status", "detail", "code", "request_id"} <= set(body):
        faults.append(f"keys {sorted(body)}")
    if (body["status"], body["request_id"]) != (status, response["X-Request-ID"]):
        faults.append("the status or the request id differs from the response's")
    if not body["detail"] or len(response.content) > MAX_PROBLEM_BYTES:
        faults.append(f"a problem document of {len(response.content)} bytes")
    if names and status == 400 and body["code"] != "parse_error":
        named = {field.partition(".")[0] for field in body.get("errors", {})}
        if not named or not named <= set(names):
            faults.append(f"400 names {sorted(named)} ({body['detail']})")
    return faults


def _add_faults(faults, method, path, value, response):
    for fault in _find_faults(response):
        faults.append(f"{method} {path[:60]} {str(value)[:60]!r}: {fault}")


def test_no_query_parameter_causes_a_server_error(world):
    faults, tested = [], set()
    for template, method, parameters in _list_operations(world.schema, "get"):
        needed = {"/tmdb/search/": "query=alien&", "/providers/": "region=DE&"}.get(template, "")
        for parameter in parameters:
            if parameter["in"] != "query":
                continue
            name, values = parameter["name"], TEXTS
            if name == "cursor":
                # Lists share the code that reads a cursor, except for the feed. Others get a sample.
                first = not any('"cursor"' in key for key in tested)
                values = CURSORS if first or template == "/feed/" else CURSORS[::5]
                values = [*MOMENT_CURSORS, *values]
            elif json.dumps(parameter) in tested:
                # Lists share filters: all values are sent to the first list, a sample to the others.
                values = TEXTS[::15]
            tested.add(json.dumps(parameter))
            for value in values:
                query = f"{'' if name in ('query', 'q', 'region') else needed}{name}={value}"
                response = _send(world, method, world.path(template), query=query)
                also = ["page"] if name == "page_size" else []
                for fault in _find_faults(response, name, *also):
                    faults.append(f"{template} {query[:80]}: {fault}")
    assert not faults, "\n".join(faults[:60])
    assert len(tested) > 30


UNKNOWN_FIELDS = ("colour", "user_id", "Score", "$where", "__proto__", "", "x" * 80, "ﬁeld")


def test_every_operation_rejects_unknown_fields_by_name(world):
    faults, tested = [], 0
    for template, method, parameters in _list_operations(
        world.schema, "post", "put", "patch", "delete"
    ):
        if template == "/imports/" and method == "POST":
            continue  # Takes multipart/form-data: social/transfer/tests/test_imports.py.
        if template == "/scrobbles/{server}/":
            continue  # Takes what a media server sends: social/tests/test_scrobbles.py.
        has_body = _list_fields(world.schema, parameters) is not None
        if method == "DELETE" and not has_body:
            continue  # The content of a DELETE has no meaning.
        known = world.bodies.get(template, {}) if has_body else {}
        for name in UNKNOWN_FIELDS:
            body = json.dumps({**known, name: [{"nested": 1}]})
            response = _send(world, method, world.path(template), body)
            tested += 1
            errors = response.json().get("errors", {}) if response.content else {}
            # A name that is empty concerns the whole body.
            codes = {error["code"] for error in errors.get(name or "non_field_errors", ())}
            if response.status_code != 400 or codes != {"unknown"}:
                faults.append(f"{method} {template} {name!r}: {response.status_code} {errors}")
    assert not faults, "\n".join(faults[:60])
    assert tested > 200


def test_a_body_is_not_written_if_one_of_its_fields_is_unknown(world):
    before = world.client.get("/profiles/me/").json()

    response = world.client.patch("/profiles/me/", {"bio": "Changed.", "visibilty": "private"})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["visibilty"]
    assert world.client.get("/profiles/me/").json() == before


def test_every_operation_rejects_unknown_and_repeated_parameters_by_name(world):
    faults = []
    for template, method, parameters in _list_operations(
        world.schema, "get", "post", "put", "patch", "delete"
    ):
        if template == "/scrobbles/{server}/":
            continue  # Takes no session: social/tests/test_scrobbles.py.
        single = [
            param["name"]
            for param in parameters
            if param["in"] == "query" and param["type"] != "array"
        ]
        bad = {"colour": "colour=red", "pag\ufffd": "pag%ff=1", "x" * 80: "x" * 80 + "=1"}
        bad.update({name: f"{name}=1&{name}=1" for name in single})
        body = json.dumps(world.bodies.get(template, {}))
        for name, query in bad.items():
            response = _send(world, method, world.path(template), body, query=query)
            named = response.json().get("errors", {})
            if response.status_code != 400 or name not in named:
                faults.append(
                    f"{method} {template} {query}: {response.status_code} {sorted(named)}"
                )
    assert not faults, "\n".join(faults[:60])


def test_thousands_of_parameters_are_rejected(world):
    many = "&".join(f"p{n}=1" for n in range(2000))
    for query in (many, many[:5000], "x" * 100_000 + "=1", "&" * 5000, "=", ";", "=1"):
        response = _send(world, "GET", "/movies/", query=query)
        assert _find_faults(response) == []
        assert response.status_code == (400 if "1" in query else response.status_code)


def test_no_path_parameter_causes_a_server_error(world):
    faults, known = [], set()
    for template, method, parameters in _list_operations(
        world.schema, "get", "post", "put", "patch", "delete"
    ):
        names = [param["name"] for param in parameters if param["in"] == "path"]
        for name in names:
            # The operations of a path share its converter: the first gets all values, others a sample.
            values = TEXTS[::5] if (template, name) in known else TEXTS
            known.add((template, name))
            for value in values:
                body = json.dumps(world.bodies.get(template, {}))
                path = world.path(template, **{name: value})
                response = _send(world, method, path, body)
                _add_faults(faults, method, path, value, response)
                if response.status_code not in (404, 405):
                    faults.append(f"{method} {path[:60]}: {response.status_code}")
    assert not faults, "\n".join(faults[:60])


def test_no_body_field_causes_a_server_error(world):
    faults, tested, known = [], 0, set()
    for template, method, parameters in _list_operations(
        world.schema, "post", "put", "patch", "delete"
    ):
        fields = _list_fields(world.schema, parameters) or {}
        good = {
            key: value for key, value in world.bodies.get(template, {}).items() if key in fields
        }
        for name, field in fields.items():
            others = [(key, value) for key, value in good.items() if key != name]
            rest = "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in others)
            # Operations share fields: the first gets all values, the others a sample.
            shared = json.dumps([name, field])
            values = VALUES[::6] if shared in known else VALUES
            # The parser rejects these before any field is validated, so one field is enough.
            unparsable = UNPARSABLE[::9] if name == next(iter(fields)) else []
            known.add(shared)
            for value in [*values, *unparsable]:
                body = f'{{"{name}": {value}{rest}}}'.encode()
                response = _send(world, method, world.path(template), body)
                tested += 1
                # A bad username may also make the password too similar, a bad password also fails its
                # confirmation, and a bad uid also makes the token invalid.
                for fault in _find_faults(response, name, "password", "password_confirm", "token"):
                    faults.append(f"{method} {template} {name}={value[:40]}: {fault}")
    assert not faults, "\n".join(faults[:60])
    assert tested > 1000


def test_a_body_that_is_not_a_json_object_is_400_for_every_operation(world):
    faults = []
    bad = [*BODIES, *(value.encode() for value in UNPARSABLE), *NOT_OBJECTS]
    for number, (template, method, parameters) in enumerate(
        _list_operations(world.schema, "post", "put", "patch", "delete")
    ):
        if _list_fields(world.schema, parameters) is None or template == "/scrobbles/{server}/":
            continue
        path = world.path(template)
        # All operations share one parser: the first gets all bodies, the others every third.
        for body in bad[number % 3 :: 3] if number else bad:
            response = _send(world, method, path, body)
            _add_faults(faults, method, path, body[:60], response)
            if response.status_code != 400:
                faults.append(f"{method} {template} {body[:40]!r}: {response.status_code}")
    assert not faults, "\n".join(faults[:60])


def test_another_media_type_is_415(world):
    for template, method, parameters in _list_operations(
        world.schema, "post", "put", "patch", "delete"
    ):
        if _list_fields(world.schema, parameters) is None or template == "/scrobbles/{server}/":
            continue
        body = json.dumps(world.bodies.get(template, {"a": 1})).encode()
        for media_type in MEDIA_TYPES:
            response = _send(world, method, world.path(template), body, content_type=media_type)
            assert _find_faults(response) == []
            assert response.status_code == 415, (method, template, media_type)
            assert response.json()["code"] == "unsupported_media_type"


def test_json_is_utf8_whatever_charset_is_declared(world):
    body = '{"name": "Ängste"}'.encode()
    for charset in ("latin-1", "utf-16", "nonsense", "rot13", "", "\x7f", '"'):
        content_type = f"application/json; charset={charset}"
        response = _send(world, "POST", "/playlists/", body, content_type=content_type)
        assert (response.status_code, response.json()["name"]) == (201, "Ängste")


def test_a_body_over_the_limit_is_413_for_every_operation(world):
    exact, over = (b'{"a": "' + b"x" * (256 * 1024 - 9 + more) + b'"}' for more in (0, 1))
    for template, method, _ in _list_operations(world.schema, "post", "put", "patch", "delete"):
        if template in ("/imports/", "/scrobbles/{server}/"):
            # social/transfer/tests/test_imports.py and test_scrobbles.py test their limits.
            continue
        for content_type in (JSON, "text/plain"):
            response = _send(world, method, world.path(template), over, content_type=content_type)
            assert (response.status_code, response.json()["code"]) == (413, "too_large")
            assert _find_faults(response) == []
        response = _send(world, method, world.path(template), exact)
        assert response.status_code != 413
        assert _find_faults(response) == []


def test_no_header_causes_a_server_error(world):
    faults = []
    calls = [
        ("GET", "/movies/", b""),
        ("GET", "/profiles/me/", b""),
        ("GET", world.path("/playlists/{id}/"), b""),
        ("POST", "/playlists/", b'{"name": "x"}'),
        ("PUT", world.path("/playlists/{id}/items/order/"), b'{"movie_ids": []}'),
        ("POST", "/auth/token/", b'{"username": "x", "password": "y"}'),
        ("GET", "/", b""),
    ]
    for method, path, body in calls:
        for header, values in HEADERS:
            for value in values:
                response = _send(world, method, path, body, **{header: value})
                _add_faults(faults, method, path, f"{header}: {value}", response)
    assert not faults, "\n".join(faults[:60])


def test_no_path_causes_a_server_error(world):
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")
    for path in PATHS:
        for method in methods:
            body = b"{}" if method in ("POST", "PUT", "PATCH") else b""
            response = _send(world, method, path, body)
            assert response.status_code < 500, (method, path)
            # The admin responds with HTML, and a response to HEAD has no body.
            if method != "HEAD" and not path.startswith("/admin/"):
                assert _find_faults(response) == [], (method, path)


def test_years_beyond_the_calendar_are_rejected_by_name(world):
    for name in ("year", "year_gte", "year_lte"):
        for value in ("0", "10000", "99999", "-1"):
            response = _send(world, "GET", "/movies/", query=f"{name}={value}")
            assert response.status_code == 400
            assert list(response.json()["errors"]) == [name]


def test_a_cursor_of_another_list_is_rejected_or_reads_a_page(world):
    first = _send(world, "GET", "/movies/", query="cursor=&page_size=1&ordering=title").json()
    cursor = first["next"].partition("cursor=")[2].partition("&")[0]
    for path in ("/movies/top_rated/", "/ratings/", "/playlists/", "/movies/recommendations/"):
        response = _send(world, "GET", path, query=f"cursor={cursor}")
        assert _find_faults(response, "cursor") == []
