"""What the documentation claims about files, tests, routes and versions is true."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from nexus.dev.embedded import ROOT
from nexus.tests.routes import list_api_routes
from nexus.tests.test_flows import record_modules
from recommendations.tests.community import made_up, quiet
from recommendations.training.pipeline import training_run

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def read(name):
    return (ROOT / name).read_text("utf-8")


def list_heading_anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- All pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    broken = []

    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (
            anchor and anchor not in list_heading_anchors(path.read_text("utf-8"))
        ):
            broken.append(target)

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page):
    names = re.findall(
        r"`((?:[a-z_]+/)+[\w.-]+\.(?:py|md|svg|json|yaml))`", page.read_text("utf-8")
    )

    assert [name for name in names if not (ROOT / name).is_file()] == []


def test_readme_has_at_most_700_words():
    assert len(read("README.md").split()) <= 700


def test_every_decision_has_a_number_of_its_own_and_is_in_the_index():
    names = sorted(path.name for path in (ROOT / "docs" / "adr").glob("0*.md"))
    numbers = [name[:4] for name in names]

    assert len(numbers) == len(set(numbers))
    assert sorted(re.findall(r"\]\((0[^)]+\.md)\)", read("docs/adr/README.md"))) == names


# --- docs/reliability.md -------------------------------------------------------------------------


def test_every_test_named_in_reliability_exists():
    sources = [path.read_text("utf-8") for path in ROOT.glob("*/**/tests/test_*.py")]
    existing = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}
    named = set(re.findall(r"`(test_\w+)`", read("docs/reliability.md")))

    assert len(named) > 20
    assert named - existing == set()


def test_reliability_has_the_guarantees_in_the_order_of_their_numbers():
    numbers = [int(n) for n in re.findall(r"^## (\d+)\. ", read("docs/reliability.md"), re.M)]

    assert numbers[:18] == list(range(1, 19))
    assert numbers == sorted(set(numbers))
    assert numbers[-1] <= 34


# --- docs/clients.md -----------------------------------------------------------------------------


def test_clients_lists_every_call_of_the_api_once():
    documented = re.findall(r"^\| `([A-Z]+ /\S+)` \|", read("docs/clients.md"), re.M)
    offered = [
        f"{method} {route.template}" for route in list_api_routes() for method in route.methods
    ]

    assert sorted(documented) == sorted(offered)


def list_error_codes():
    """Return the codes that our own code raises: literals in calls that make an error."""
    calls = {"Problem", "problem_response", "field_error", "FileError", "ErrorDetail", "_conflict"}
    codes = set()
    for app in ("nexus/core", "accounts", "movies", "social", "tmdb", "recommendations"):
        for path in (ROOT / app).rglob("*.py"):
            if "tests" in path.parts or path.name == "admin_site.py":
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                literals = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                if name in calls:
                    candidates = [value for value in literals if isinstance(value, str)]
                    codes.update(
                        text for text in candidates if re.fullmatch(r"[a-z]+(_[a-z]+)+", text)
                    )
                if name in {"ValidationError", "AuthenticationFailed"}:
                    codes.update(
                        word.value.value
                        for word in node.keywords
                        if word.arg == "code" and isinstance(word.value, ast.Constant)
                    )
    return codes


# Names of fields, which stand where a code could in field_error("name", ...).
FIELDS = {"movie_ids", "new_password", "old_password", "password_confirm"}


def test_clients_explains_every_error_code():
    codes = list_error_codes() - FIELDS
    explained = set(re.findall(r"`([a-z_]+)`", read("docs/clients.md")))

    assert len(codes) > 30
    assert codes - explained == set()


# --- docs/deployment.md --------------------------------------------------------------------------


# Set by wsgi.py, the tests, and the dev server; not for operators.
INTERNAL_SETTINGS = {"SERVING", "TEST_DATABASE"}


def test_deployment_lists_exactly_the_environment_variables_that_are_read():
    table = re.search(r"^## Settings$(.*?)^## ", read("docs/deployment.md"), re.M | re.S).group(1)
    rows = re.findall(r"^\| (`[A-Z].*?) \|", table, re.M)
    listed = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}

    sources = read("nexus/settings.py") + read("gunicorn.conf.py")
    are_read = set(re.findall(r'read(?:_boolean|_integer)?\(\s*"([A-Z_]+)"', sources))
    are_read |= set(re.findall(r'"(DATABASE(?:_REPLICA)?_URL|PORT)"', sources))

    assert listed == are_read - INTERNAL_SETTINGS


# --- Everything else -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        ".github/dependabot.yml",
        ".github/workflows/ci.yml",
        ".pre-commit-config.yaml",
        "compose.yaml",
        "ops/alerts.yaml",
        "render.yaml",
    ],
)
def test_yaml_file_can_be_parsed(name):
    assert yaml.safe_load(read(name))


def test_workflow_runs_the_ci_script():
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    commands = [step.get("run") for step in workflow["jobs"]["check"]["steps"]]

    assert commands[-1] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_changelog_and_schema_have_the_version_of_the_settings(api):
    newest = re.search(r"^## \[([\d.]+)\]", read("CHANGELOG.md"), re.M).group(1)

    schema = api.get("/swagger.json").json()

    assert newest == settings.VERSION == schema["info"]["version"]


def read_diagrams(page="docs/architecture.md"):
    """Return the modules of each diagram by the heading above it."""
    sections = re.split(r"^## ", read(page), flags=re.M)
    return {
        section.partition("\n")[0]: set(re.findall(r"participant \w+ as (\S+)", section))
        for section in sections
        if "```mermaid" in section
    }


def test_diagrams_name_modules_that_exist():
    diagrams = read_diagrams()

    assert sorted(diagrams) == ["GET /movies/", "POST /ratings/", "POST /tmdb/import/"]
    for modules in diagrams.values():
        assert len(modules) > 5
        assert {name for name in modules if not has_module(name)} == set()


def test_diagram_of_a_movie_list_has_the_modules_that_the_request_enters(api, db, make_movie):
    make_movie("Alien", genres=["Horror"])

    modules = record_modules(
        lambda: api.get("/movies/?genre=Horror&search=alien"), ("movies.views", "list")
    )

    assert read_diagrams()["GET /movies/"] == modules


def test_diagram_of_a_rating_has_the_modules_that_the_request_enters(
    make_user, client_of, make_movie
):
    member = client_of(make_user("ann"))
    body = {"movie": make_movie("Alien").pk, "score": 4}

    modules = record_modules(
        lambda: member.post("/ratings/", body), ("social.views.ratings", "create")
    )

    assert read_diagrams()["POST /ratings/"] == modules


def test_diagram_of_the_feed_has_the_modules_that_the_request_enters(db, client_of):
    users, _ = made_up(members=40, movies=45)
    training_run(progress=quiet, force=True)
    member = client_of(users[0])
    # Reads the header of the training, once a process.
    assert member.get("/movies/recommendations/").status_code == 200

    modules = record_modules(
        lambda: member.get("/movies/recommendations/"), ("recommendations.views", "list")
    )

    diagrams = read_diagrams("docs/recommender.md")
    assert diagrams["A request: GET /movies/recommendations/"] == modules


def has_module(name):
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize(
    ("language", "program"), [("typescript", "client.ts"), ("python", "client.py")]
)
def test_code_of_generated_clients_is_in_the_program_that_is_run(language, program):
    """`make clients` compiles and runs the programs."""
    section = read("docs/clients.md").split("## Generated clients")[1].split("## Calls")[0]
    shown = re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)

    assert shown
    program_lines = read(f"docs/examples/{program}").splitlines()
    for block in shown:
        assert [line for line in block.splitlines() if line not in program_lines] == []
