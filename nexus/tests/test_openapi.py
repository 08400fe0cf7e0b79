"""The OpenAPI 3.1 document compared with the routes, the Swagger 2.0 schema and JSON Schema.

test_schema compares real responses with both.
"""

import ast
import re

import pytest
import yaml
from django.conf import settings
from jsonschema import Draft202012Validator

from nexus.core.api.exceptions import PROBLEM_JSON
from nexus.core.api.field_docs import EXAMPLES
from nexus.core.api.problem_codes import list_problem_codes
from nexus.dev.embedded import ROOT
from nexus.tests.openapi_document import Document
from nexus.tests.routes import list_api_routes

JSON = "application/json"
# Of permissions and exceptions.
CODE_ATTRIBUTES = ("code", "default_code", "problem_code")
APPS = ("accounts", "movies", "nexus", "recommendations", "social", "tmdb")


@pytest.fixture
def document(api):
    return Document(api.get("/openapi.json").json())


@pytest.fixture
def swagger(api):
    return api.get("/swagger.json").json()


def _follow(document, node):
    while "$ref" in node:
        target = document.raw
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _iterate_nodes(node, where=""):
    if isinstance(node, dict):
        yield where, node
        for key, child in node.items():
            yield from _iterate_nodes(child, f"{where}/{key}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _iterate_nodes(child, f"{where}/{index}")


def test_both_schemas_have_the_operations_of_the_routes(document, swagger):
    routes = {
        (route.template.replace("{pk}", "{id}"), method.lower())
        for route in list_api_routes()
        for method in route.methods
    }
    operations = {
        (path, method): operation for path, method, operation in document.iterate_operations()
    }

    assert set(operations) == routes
    assert list(document.raw["paths"]) == list(swagger["paths"])
    assert document.raw["tags"] == swagger["tags"]
    for (path, method), operation in operations.items():
        other = swagger["paths"][path][method]
        for key in ("operationId", "summary", "tags"):
            assert operation[key] == other[key], (path, method)
        assert set(operation["responses"]) == set(other["responses"]), (path, method)
        assert ({"bearer": []} in operation["security"] and {} not in operation["security"]) == (
            other["security"] == [{"Bearer": []}]
        ), (path, method)
        names = {(param["in"], param["name"]) for param in operation["parameters"]}
        others = [*other["parameters"], *swagger["paths"][path].get("parameters", [])]
        assert names == {
            (param["in"], param["name"])
            for param in others
            if param["in"] in ("path", "query", "header")
        }, (path, method)


def test_json_and_yaml_documents_are_equal(document, api):
    response = api.get("/openapi.yaml")

    assert response["Content-Type"] == "application/yaml"
    assert yaml.safe_load(response.content) == document.raw


def test_the_document_is_cached_publicly_and_revalidated(api):
    for path in ("/openapi.json", "/openapi.yaml"):
        response = api.get(path)

        assert response["Cache-Control"] == "public, max-age=60"
        again = api.get(path, headers={"If-None-Match": response["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_document_is_openapi_3_1(document):
    raw = document.raw

    assert raw["openapi"] == "3.1.0"
    assert raw["info"]["version"] == settings.VERSION
    assert raw["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    identifiers = [operation["operationId"] for *_, operation in document.iterate_operations()]
    assert len(identifiers) == len(set(identifiers))
    for name, schema in document.schemas.items():
        Draft202012Validator.check_schema(schema)
        assert re.fullmatch(r"\w+", name)
    for where, node in _iterate_nodes(raw):
        if isinstance(node.get("$ref"), str):
            assert _follow(document, node), where
        assert "nullable" not in node, where
        assert "x-spec-enum-id" not in node, where


def test_tags_are_described_and_begin_with_register_and_token(document):
    tags = {tag["name"] for tag in document.raw["tags"]}
    used = {tag for *_, operation in document.iterate_operations() for tag in operation["tags"]}

    assert used <= tags, "Describe each first segment of a path in settings.API_TAGS."
    assert all(tag["description"] for tag in document.raw["tags"])
    paths = list(document.raw["paths"])
    assert paths[0] == "/auth/register/"
    assert paths.index("/auth/token/") < paths.index("/auth/logout/")


def test_every_operation_parameter_and_field_is_described(document):
    missing = []
    for path, method, operation in document.iterate_operations():
        if not operation.get("description"):
            missing.append(f"{method} {path}")
        # Pages show summaries as plain text.
        assert "`" not in operation["summary"], (method, path)
        missing += [
            f"{method} {path} {parameter['name']}"
            for parameter in operation["parameters"]
            if not parameter.get("description")
        ]
    for name, schema in document.schemas.items():
        missing += [
            f"{name}.{field}"
            for field, node in schema.get("properties", {}).items()
            if not node.get("description")
        ]

    assert missing == [], (
        "Give the field a help_text, or its name a row in nexus/core/api/field_docs.py."
    )


def test_the_fields_that_swagger_ui_shows_are_described(swagger):
    missing = [
        f"{name}.{field}"
        for name, definition in swagger["definitions"].items()
        for field, node in definition.get("properties", {}).items()
        if "$ref" not in node and not node.get("description")
    ]

    assert missing == []


def test_descriptions_of_schemas_do_not_speak_of_the_code(document):
    for name, schema in document.schemas.items():
        description = schema.get("description", "")
        assert not re.search(r"serializer|context|objects\.|\n", description), name


def test_only_errors_are_problem_documents(document):
    for path, method, operation in document.iterate_operations():
        for status, response in operation["responses"].items():
            media_types = set(response.get("content", {}))
            if int(status) >= 400:
                assert media_types == {PROBLEM_JSON}, (method, path, status)
                schema = response["content"][PROBLEM_JSON]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}
            else:
                assert PROBLEM_JSON not in media_types, (method, path, status)


def test_every_json_body_has_an_example_that_is_valid(document):
    count = 0
    for path, method, operation in document.iterate_operations():
        bodies = {("requestBody",): operation.get("requestBody", {})}
        for status, response in operation["responses"].items():
            bodies["responses", status] = response
        for where, body in bodies.items():
            for media_type, content in body.get("content", {}).items():
                if not media_type.endswith("json"):
                    continue
                pointer = ("paths", path, method, *where, "content", media_type, "schema")
                example = content.get("example")
                if "examples" in content:
                    example = _follow(document, content["examples"]["example"])["value"]
                assert example is not None, pointer
                assert document.find_mismatches(example, *pointer) == [], pointer
                count += 1

    assert count > 500


def test_examples_of_single_fields_are_those_of_fields_that_exist(document):
    for place in EXAMPLES:
        component, field = place.split(".")
        assert field in document.schemas[component]["properties"], place


def test_declared_examples_of_bodies_are_used(document):
    """One id must be sent, not both, which the schema cannot say."""
    examples = document.raw["components"]["examples"]

    assert examples["TmdbImportWrite"]["value"] == {"tmdb_id": 603}


def test_bodies_have_a_type_that_generators_know(document):
    """openapi-python-client leaves out operations with a body of `*/*`."""
    for path, method, operation in document.iterate_operations():
        media_types = set(operation.get("requestBody", {}).get("content", {}))
        assert media_types <= {JSON, "multipart/form-data"}, (method, path)


def test_names_of_fields_differ_in_more_than_case(document):
    for component, schema in document.schemas.items():
        names = list(schema.get("properties", {}))
        assert len({name.lower() for name in names}) == len(names), component


def test_pages_have_names(document):
    for path, method, operation in document.iterate_operations():
        schema = (
            operation["responses"].get("200", {}).get("content", {}).get(JSON, {}).get("schema")
        )
        if schema and "results" in _follow(document, schema).get("properties", {}):
            assert schema["$ref"].endswith("Page"), (method, path)


def test_a_created_playlist_is_not_nullable_and_a_collection_is(document):
    created = document.raw["paths"]["/playlists/"]["post"]["responses"]["201"]["content"][JSON]
    collection = document.schemas["Movie"]["properties"]["collection"]

    assert created["schema"] == {"$ref": "#/components/schemas/Playlist"}
    assert document.schemas["Playlist"]["type"] == "object"
    assert collection["oneOf"] == [{"$ref": "#/components/schemas/Collection"}, {"type": "null"}]


def test_strategy_kind_and_code_are_enums(document):
    schemas = document.schemas

    strategy = schemas["RecommendationPage"]["properties"]["strategy"]
    assert strategy["enum"] == ["personalized", "cold_start"]
    assert schemas["FeedbackWrite"]["properties"]["kind"]["enum"] == ["hide", "less", "more"]
    assert schemas["Problem"]["properties"]["code"]["enum"] == list_problem_codes()


def test_the_kind_of_a_feed_event_tells_its_variant(document):
    event = document.schemas["FeedEvent"]
    schemas = {"rating": "PublicRating", "playlist": "Playlist"}
    mapping = event["discriminator"]["mapping"]

    assert event["discriminator"]["propertyName"] == "kind"
    assert [node["$ref"] for node in event["oneOf"]] == list(mapping.values())
    for kind, reference in mapping.items():
        variant = _follow(document, {"$ref": reference})
        assert variant["properties"]["kind"]["enum"] == [kind]
        for name, of_kind in (("rating", kind != "published"), ("playlist", kind == "published")):
            expected = [{"$ref": f"#/components/schemas/{schemas[name]}"}]
            node = variant["properties"][name]
            if of_kind:
                assert node["allOf"] == expected
            else:
                assert node["oneOf"] == [*expected, {"type": "null"}]


def test_scores_of_ratings_are_nullable(document):
    for name in ("Rating", "PublicRating", "Review"):
        assert document.schemas[name]["properties"]["score"]["type"] == ["number", "null"]


def test_if_match_is_required_where_its_absence_is_an_error(document):
    for path, method, operation in document.iterate_operations():
        required = {
            param["name"]
            for param in operation["parameters"]
            if param["in"] == "header" and param.get("required")
        }
        assert required == ({"If-Match"} if "428" in operation["responses"] else set()), (
            method,
            path,
        )
    assert "428" in document.raw["paths"]["/playlists/{id}/items/order/"]["put"]["responses"]


def test_lists_are_separated_by_commas_unless_the_parameter_may_be_repeated(document):
    explodes = {
        (path, parameter["name"]): parameter.get("explode", True)
        for path, method, operation in document.iterate_operations()
        for parameter in operation["parameters"]
        if method == "get" and parameter["schema"].get("type") == "array"
    }

    program = (ROOT / "docs" / "examples" / "client.py").read_text()
    joined = re.search(r"for name in \{(.+)\} &", program)[1].replace('"', "").split(", ")
    assert {name for (_, name), explode in explodes.items() if not explode} == set(joined)
    assert explodes["/movies/", "genre"]
    assert not explodes["/movies/states/", "ids"]


def test_responses_declare_their_headers(document):
    for *_, operation in document.iterate_operations():
        for status, response in operation["responses"].items():
            assert {"RateLimit", "RateLimit-Policy", "X-Request-ID"} <= set(response["headers"])
            assert ("Retry-After" in response["headers"]) >= (status in ("429", "503"))
    playlists = document.raw["paths"]["/playlists/"]
    assert "Location" in playlists["post"]["responses"]["201"]["headers"]
    assert "ETag" in playlists["get"]["responses"]["200"]["headers"]


def test_the_source_uses_no_other_problem_codes():
    used = set()
    for app in APPS:
        for file in (ROOT / app).rglob("*.py"):
            if "tests" not in file.parts:
                used |= set(_find_codes(ast.parse(file.read_text())))

    assert {"conflict", "oneself", "tmdb_unavailable"} <= used
    assert used <= set(list_problem_codes()), "Add the code to nexus/core/api/problem_codes.py."


def _find_codes(tree):
    """Return the literal codes of problems and of refusals in a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)], ast.Constant(code)) if name in CODE_ATTRIBUTES:
                yield code
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        places = {"Problem": 1, "problem_response": 2}
        if name in places and len(node.args) > places[name]:
            code = node.args[places[name]]
            if isinstance(code, ast.Constant):
                yield code.value


def test_the_clients_page_explains_exactly_the_codes():
    page = (ROOT / "docs" / "clients.md").read_text()
    section = page.split("### Codes of a response")[1].split("###")[0]
    explained = {
        code
        for row in re.findall(r"^\| \d{3} \| (.+?) \|", section, re.M)
        for code in re.findall(r"`(\w+)`", row)
    }
    quotas = {f"too_many_{name}" for name in settings.MEMBER_QUOTAS}

    assert explained == set(list_problem_codes()) - quotas
