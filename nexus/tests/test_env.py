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
KEPT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def started(**variables):
    """Imports the settings in a process of its own; its output and what it said in complaint."""
    names = "s.DEBUG, s.ALLOWED_HOSTS, s.TRUSTED_PROXIES, s.HTTPS, s.RATE_LIMIT_SCALE"
    code = f"import nexus.settings as s; print([{names}])"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**KEPT, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout.strip(), ran.stderr.strip().splitlines()[-1:]


def test_three_variables_suffice_and_the_rest_is_safe():
    assert started(**MINIMAL) == (
        "[False, ['localhost', '127.0.0.1', '[::1]'], 0, True, 1.0]",
        [],
    )


@pytest.mark.parametrize("name", MINIMAL)
def test_without_one_of_them_the_start_stops_with_its_name_and_an_example(name):
    variables = {key: value for key, value in MINIMAL.items() if key != name}
    output, complaint = started(**variables)
    assert output == ""
    assert complaint[0].startswith(
        f"django.core.exceptions.ImproperlyConfigured: {name} is not set. Example: {name}="
    )


def test_in_production_tokens_have_a_key_of_their_own():
    output, complaint = started(**MINIMAL, PRODUCTION="1")
    assert output == ""
    assert "JWT_SIGNING_KEYS is not set. Example: JWT_SIGNING_KEYS=" in complaint[0]
    output, _ = started(**MINIMAL, PRODUCTION="1", JWT_SIGNING_KEYS="k" * 32)
    assert output


def test_in_production_no_mail_goes_to_the_log_and_elsewhere_it_does():
    code = "import nexus.settings as s; print(s.EMAIL_BACKEND, s.JWT_SIGNING_KEYS)"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**KEPT, **MINIMAL, **more},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        for more in ({"PRODUCTION": "1", "JWT_SIGNING_KEYS": "k" * 32}, {})
    ]
    assert "dummy.EmailBackend" in told[0]
    assert "console.EmailBackend" in told[1]
    # One is made of SECRET_KEY, from which it cannot be told.
    assert re.search(r"\['[0-9a-f]{64}'\]", told[1])


@pytest.fixture
def having(monkeypatch):
    """Sets one variable: `having("a")` is NAME=a, `having(None)` leaves it out."""

    def having(value):
        if value is None:
            monkeypatch.delenv("NAME", raising=False)
        else:
            monkeypatch.setenv("NAME", value)

    return having


def refused(read):
    with pytest.raises(ImproperlyConfigured) as error:
        read()
    message = str(error.value)
    assert message.startswith("NAME ")
    assert "Example: NAME=" in message
    return message


@pytest.mark.parametrize("value", [None, "", "   "])
def test_a_text_with_no_default_must_be_there(having, value):
    having(value)
    assert refused(lambda: env.text("NAME", example="abc")) == (
        "NAME is not set. Example: NAME=abc"
    )
    assert env.text("NAME", default="x") == "x"


@pytest.mark.parametrize(
    ("value", "flag"),
    [("1", True), ("TRUE", True), (" yes ", True), ("on", True), (None, None), ("", False)]
    + [("0", False), ("False", False), ("no", False), ("off", False)],
)
def test_a_flag_is_one_of_few_words(having, value, flag):
    having(value)
    for default in (True, False):
        assert env.flag("NAME", default=default) is (default if flag is None else flag)


@pytest.mark.parametrize("value", ["2", "ja", "tru", "-1"])
def test_any_other_word_is_no_flag(having, value):
    having(value)
    assert repr(value) in refused(lambda: env.flag("NAME", default=False))


@pytest.mark.parametrize(
    "value", ["-1", "0", "11", "1.5", "1e1", "a", "١", "1_0", "+1", "9" * 5000, "\x07"]
)
def test_a_number_out_of_bounds_is_refused_with_them(having, value):
    having(value)
    message = refused(lambda: env.whole_number("NAME", default=3, at_least=1, at_most=10))
    assert "from 1 to 10" in message


@pytest.mark.parametrize(("value", "number"), [(None, 3), ("", 3), ("1", 1), (" 10 ", 10)])
def test_a_number_within_bounds_is_taken(having, value, number):
    having(value)
    assert env.whole_number("NAME", default=3, at_least=1, at_most=10) == number


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "a", "1e300", "0,5"])
def test_a_factor_is_positive_and_finite(having, value):
    having(value)
    refused(lambda: env.positive_number("NAME", default=1.0))


@pytest.mark.parametrize(("value", "number"), [(None, 1.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_a_positive_factor_is_taken(having, value, number):
    having(value)
    assert env.positive_number("NAME", default=1.0) == number


def test_a_choice_is_one_of_the_choices_in_any_case(having):
    choices = ("DEBUG", "INFO")
    having("debug")
    assert env.one_of("NAME", choices=choices, default="INFO") == "DEBUG"
    having("")
    assert env.one_of("NAME", choices=choices, default="INFO") == "INFO"
    having("loud")
    assert "none of DEBUG, INFO" in refused(
        lambda: env.one_of("NAME", choices=choices, default="INFO")
    )


def test_names_are_separated_by_commas(having):
    having(" a.example , ,b.example,")
    assert env.names("NAME") == ["a.example", "b.example"]
    having(None)
    assert env.names("NAME", default="c") == ["c"]


def test_keys_are_separated_by_commas_and_a_short_one_is_refused_unseen(having):
    having(f"{'a' * 32}, {'b' * 40}")
    assert env.keys("NAME", default=None, example="x") == ["a" * 32, "b" * 40]
    for value in ("hush", f"{'a' * 32},hush", f"{'a' * 32},"):
        having(value)
        message = refused(lambda: env.keys("NAME", default=None, example="abc"))
        assert "fewer than 32 characters" in message
        assert "hush" not in message
    having(None)
    assert env.keys("NAME", default="c" * 32, example="x") == ["c" * 32]


def test_an_origin_is_a_scheme_and_a_host(having):
    having("https://a.example, http://localhost:3000")
    assert env.origins("NAME", example="https://x") == [
        "https://a.example",
        "http://localhost:3000",
    ]


@pytest.mark.parametrize(
    "value",
    ["a.example", "https://", "https://a.example/path", "*", "ftp://a.example", "https://[a"]
    + ["https://a.example?x=1", "https://a.example#x", "https://a.example/"]
    + ["https://ann:pw@a.example", "https://a.example:port", "https://:443"],
)
def test_what_is_no_origin_is_named(having, value):
    having(f"https://good.example,{value}")
    assert value in refused(lambda: env.origins("NAME", example="https://app.example.org"))


@pytest.mark.parametrize(
    "value", ["mysql://u:hush@h/db", "host:5432/nexus", "hush", "postgres//u:hush@h/n", "://hush"]
)
def test_a_wrong_address_is_refused_without_showing_its_password(having, value):
    having(value)
    message = refused(lambda: env.database("NAME", example="postgres://u:p@h/n"))
    assert "hush" not in message


@pytest.mark.parametrize(
    "value",
    ["postgres://u:hush@h", "postgres://u:hush@h/", "postgres://u:hush@h:port/n"]
    + ["postgres://u:hush@[::1/n", "postgres://u:hush@h:99999/n"],
)
def test_a_database_url_must_name_a_database_on_a_host(having, value):
    having(value)
    assert "hush" not in refused(lambda: env.database("NAME", example="postgres://u:p@h/n"))


def test_a_database_url_is_djangos_entry(having):
    having("postgresql://ann:p%40ss@db.example:6543/films?sslmode=require")
    config = env.database("NAME", example="x")
    assert config["ENGINE"] == "django.db.backends.postgresql"
    assert (config["HOST"], config["PORT"], config["NAME"]) == ("db.example", 6543, "films")
    assert (config["USER"], config["PASSWORD"]) == ("ann", "p@ss")
    assert config["OPTIONS"] == {"sslmode": "require"}


def test_a_database_url_may_lead_to_a_socket(having):
    having("postgresql://postgres:@/films?host=" + urllib.parse.quote("/var/run/pg"))
    config = env.database("NAME", example="x")
    assert config["NAME"] == "films"
    assert config["OPTIONS"] == {"host": "/var/run/pg"}


def test_without_a_mail_url_mails_go_to_the_log(having):
    having(None)
    assert env.email("NAME", example="x")["EMAIL_BACKEND"].endswith("console.EmailBackend")


def test_a_mail_url_is_djangos_settings(having):
    having("smtp+tls://ann:pass@mail.example:587")
    config = env.email("NAME", example="x")
    assert config["EMAIL_BACKEND"].endswith("smtp.EmailBackend")
    assert (config["EMAIL_HOST"], config["EMAIL_PORT"]) == ("mail.example", 587)
    assert (config["EMAIL_HOST_USER"], config["EMAIL_HOST_PASSWORD"]) == ("ann", "pass")
    assert config["EMAIL_USE_TLS"] is True


@pytest.mark.parametrize("value", ["pop3://hush@h", "mail.example", "smtp://u:hush@h:port", "://"])
def test_a_wrong_mail_url_is_refused_without_showing_its_password(having, value):
    having(value)
    assert "hush" not in refused(lambda: env.email("NAME", example="smtp://u:p@h:25"))


@pytest.mark.parametrize(
    "value", ["http://h/0", "localhost:6379", "redis://[h/0", "redis://h:port/0"]
)
def test_a_wrong_cache_url_is_refused(having, value):
    having(value)
    refused(lambda: env.url("NAME", schemes=("redis",), example="redis://h:6379/0"))
