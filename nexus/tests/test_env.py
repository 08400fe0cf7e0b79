"""Settings from environment variables: defaults, malformed values and missing ones."""

import os
import re
import subprocess
import sys
import urllib.parse

import pytest
from django.core.exceptions import ImproperlyConfigured

from nexus import env
from nexus.dev.embedded import ROOT

MINIMAL = {
    "SECRET_KEY": "a key",
    "DATABASE_URL": "postgres://user:hush@host:5432/nexus",
    "REDIS_URL": "redis://host:6379/0",
}
SYSTEM = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def run_python(*arguments, **variables):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**SYSTEM, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def import_settings(names, **variables):
    """Import the settings in a new process; return what it printed and the last line of its error."""
    process = run_python("-c", f"import nexus.settings as s; print([{names}])", **variables)
    return process.stdout.strip(), process.stderr.strip().splitlines()[-1:]


def test_three_variables_suffice_and_the_defaults_are_safe():
    names = "s.DEBUG, s.ALLOWED_HOSTS, s.TRUSTED_PROXIES, s.HTTPS, s.RATE_LIMIT_SCALE"

    output, error = import_settings(names, **MINIMAL)

    assert output == "[False, ['localhost', '127.0.0.1', '[::1]'], 0, True, 1.0]"
    assert error == []


@pytest.mark.parametrize("name", MINIMAL)
def test_missing_variable_stops_the_start_with_its_name_and_an_example(name):
    variables = {key: value for key, value in MINIMAL.items() if key != name}

    output, error = import_settings("s.DEBUG", **variables)

    assert output == ""
    assert error[0].startswith(
        f"django.core.exceptions.ImproperlyConfigured: {name} is not set. Example: {name}="
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "SECRET_KEY is not set. Example: SECRET_KEY="),
        (
            {**MINIMAL, "JWT_SIGNING_KEYS": "k" * 32, "HTTPS": "maybe"},
            "HTTPS is 'maybe', neither true nor false",
        ),
        ({"PRODUCTION": "perhaps"}, "PRODUCTION is 'perhaps', neither true nor false"),
    ],
)
def test_manage_py_reports_a_wrong_setting_in_one_line(variables, message):
    process = run_python("manage.py", "check", **{"PRODUCTION": "1", **variables})

    assert process.returncode == 1
    assert process.stderr.startswith(f"manage.py: {message}")
    assert len(process.stderr.splitlines()) == 1


def test_production_requires_a_signing_key():
    _, error_without_key = import_settings("s.DEBUG", **MINIMAL, PRODUCTION="1")
    output, _ = import_settings("s.DEBUG", **MINIMAL, PRODUCTION="1", JWT_SIGNING_KEYS="k" * 32)

    assert "JWT_SIGNING_KEYS is not set. Example: JWT_SIGNING_KEYS=" in error_without_key[0]
    assert output == "[False]"


def test_mails_go_to_the_log_but_not_in_production():
    production = {"PRODUCTION": "1", "JWT_SIGNING_KEYS": "k" * 32}

    output_in_production, _ = import_settings("s.EMAIL_BACKEND", **MINIMAL, **production)
    output_elsewhere, _ = import_settings("s.EMAIL_BACKEND", **MINIMAL)

    assert "dummy.EmailBackend" in output_in_production
    assert "console.EmailBackend" in output_elsewhere


def test_signing_key_outside_production_is_a_hash_of_the_secret_key():
    output, _ = import_settings("s.JWT_SIGNING_KEYS", **MINIMAL)

    assert re.fullmatch(r"\[\['[0-9a-f]{64}'\]\]", output)


@pytest.fixture
def set_variable(monkeypatch):
    """Return a function that sets the variable NAME, or deletes it for None."""

    def set_variable(value):
        if value is None:
            monkeypatch.delenv("NAME", raising=False)
        else:
            monkeypatch.setenv("NAME", value)

    return set_variable


def read_error(*arguments, **options):
    """Return the message with which reading NAME fails."""
    with pytest.raises(ImproperlyConfigured) as error:
        env.read("NAME", *arguments, **options)
    message = str(error.value)
    assert message.startswith("NAME ")
    assert "Example: NAME=" in message
    return message


@pytest.mark.parametrize("value", [None, "", "   "])
def test_variable_without_a_value_needs_a_default(set_variable, value):
    set_variable(value)

    assert read_error(example="abc") == "NAME is not set. Example: NAME=abc"
    assert env.read("NAME", default="x") == "x"


@pytest.mark.parametrize(
    ("value", "boolean"),
    [("1", True), ("TRUE", True), (" yes ", True), ("on", True), ("", False), ("  ", False)]
    + [("0", False), ("False", False), ("no", False), ("off", False)],
)
@pytest.mark.parametrize("default", [True, False])
def test_boolean_is_one_of_few_words(set_variable, value, boolean, default):
    set_variable(value)

    assert env.read_boolean("NAME", default=default) is boolean


@pytest.mark.parametrize("default", [True, False])
def test_boolean_that_is_not_set_is_the_default(set_variable, default):
    set_variable(None)

    assert env.read_boolean("NAME", default=default) is default


@pytest.mark.parametrize("value", ["2", "ja", "tru", "-1"])
def test_other_words_are_no_booleans(set_variable, value):
    set_variable(value)

    assert repr(value) in read_error(env.parse_boolean, default=False)


@pytest.mark.parametrize(
    "value", ["-1", "0", "11", "1.5", "1e1", "a", "١", "1_0", "+1", "9" * 5000, "\x07"]
)
def test_integer_out_of_bounds_is_rejected_with_its_bounds(set_variable, value):
    set_variable(value)

    message = read_error(env.parse_integer, minimum=1, maximum=10, default=3)

    assert "from 1 to 10" in message


@pytest.mark.parametrize(("value", "number"), [(None, 3), ("", 3), ("1", 1), (" 10 ", 10)])
def test_integer_within_bounds_is_accepted(set_variable, value, number):
    set_variable(value)

    assert env.read("NAME", env.parse_integer, minimum=1, maximum=10, default=3) == number


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "a", "1e300", "0,5"])
def test_factor_must_be_positive_and_finite(set_variable, value):
    set_variable(value)

    assert repr(value) in read_error(env.parse_positive_number, default=1.0)


@pytest.mark.parametrize(("value", "number"), [(None, 1.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_positive_factor_is_accepted(set_variable, value, number):
    set_variable(value)

    assert env.read("NAME", env.parse_positive_number, default=1.0) == number


@pytest.mark.parametrize(("value", "choice"), [("debug", "DEBUG"), ("", "INFO")])
def test_choice_ignores_case(set_variable, value, choice):
    set_variable(value)

    result = env.read("NAME", env.parse_choice, choices=("DEBUG", "INFO"), default="INFO")

    assert result == choice


def test_unknown_choice_is_rejected_with_the_choices(set_variable):
    set_variable("loud")

    message = read_error(env.parse_choice, choices=("DEBUG", "INFO"), default="INFO")

    assert "none of DEBUG, INFO" in message


def test_list_is_separated_by_commas(set_variable):
    set_variable(" a.example , ,b.example,")

    assert env.read("NAME", env.parse_list, default=[]) == ["a.example", "b.example"]


def test_keys_are_separated_by_commas(set_variable):
    set_variable(f"{'a' * 32}, {'b' * 40}")

    assert env.read("NAME", env.parse_secret_keys, example="x") == ["a" * 32, "b" * 40]


@pytest.mark.parametrize("value", ["hush", f"{'a' * 32},hush", f"{'a' * 32},"])
def test_short_key_is_rejected_without_showing_it(set_variable, value):
    set_variable(value)

    message = read_error(env.parse_secret_keys, example="abc")

    assert "fewer than 32 characters" in message
    assert "hush" not in message
    assert "aaa" not in message


def test_origins_have_a_scheme_and_a_host(set_variable):
    set_variable("https://app.example.org,http://localhost:3000")

    origins = env.read("NAME", env.parse_origins, default=[])

    assert origins == ["https://app.example.org", "http://localhost:3000"]


@pytest.mark.parametrize(
    "value",
    ["a.example", "https://", "https://a.example/path", "*", "ftp://a.example", "https://[a"]
    + ["https://a.example?x=1", "https://a.example#x", "https://a.example/"]
    + ["https://ann:pw@a.example", "https://a.example:port", "https://:443"],
)
def test_wrong_origin_is_named(set_variable, value):
    set_variable(f"https://good.example,{value}")

    assert value in read_error(env.parse_origins, example="https://app.example.org")


@pytest.mark.parametrize(
    "value",
    ["mysql://u:hush@h/db", "host:5432/nexus", "hush", "postgres//u:hush@h/n", "://hush"]
    + ["postgres://u:hush@h", "postgres://u:hush@h/", "postgres://u:hush@h:port/n"]
    + ["postgres://u:hush@[::1/n", "postgres://u:hush@h:99999/n"],
)
def test_wrong_database_url_is_rejected_without_showing_its_password(set_variable, value):
    set_variable(value)

    assert "hush" not in read_error(env.parse_database_url, example="postgres://u:p@h/n")


def test_database_url_becomes_djangos_entry(set_variable):
    set_variable("postgresql://ann:p%40ss@db.example:6543/movies?sslmode=require")

    config = env.read("NAME", env.parse_database_url)

    assert config["ENGINE"] == "django.db.backends.postgresql"
    assert (config["HOST"], config["PORT"], config["NAME"]) == ("db.example", 6543, "movies")
    assert (config["USER"], config["PASSWORD"]) == ("ann", "p@ss")
    assert config["OPTIONS"] == {"sslmode": "require"}


def test_database_url_may_name_a_socket(set_variable):
    set_variable("postgresql://postgres:@/movies?host=" + urllib.parse.quote("/var/run/pg"))

    config = env.read("NAME", env.parse_database_url)

    assert config["NAME"] == "movies"
    assert config["OPTIONS"] == {"host": "/var/run/pg"}


def test_mail_url_becomes_djangos_settings(set_variable):
    set_variable("smtp+tls://ann:pass@mail.example:587")

    config = env.read("NAME", env.parse_mail_url)

    assert config["EMAIL_BACKEND"].endswith("smtp.EmailBackend")
    assert (config["EMAIL_HOST"], config["EMAIL_PORT"]) == ("mail.example", 587)
    assert (config["EMAIL_HOST_USER"], config["EMAIL_HOST_PASSWORD"]) == ("ann", "pass")
    assert config["EMAIL_USE_TLS"] is True


@pytest.mark.parametrize("value", ["pop3://hush@h", "mail.example", "smtp://u:hush@h:port", "://"])
def test_wrong_mail_url_is_rejected_without_showing_its_password(set_variable, value):
    set_variable(value)

    assert "hush" not in read_error(env.parse_mail_url, example="smtp://u:p@h:25")


@pytest.mark.parametrize(
    "value", ["http://h/0", "localhost:6379", "redis://[h/0", "redis://h:port/0"]
)
def test_wrong_cache_url_is_rejected(set_variable, value):
    set_variable(value)

    read_error(env.parse_url, schemes=("redis",), example="redis://h:6379/0")
