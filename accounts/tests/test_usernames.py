"""One rule for usernames: registration, the admin, `createsuperuser` and the table."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from nexus.dev.pytest_plugin import PASSWORD

pytestmark = pytest.mark.django_db

STAFF_NAMES = ["admin", "Root", "SUPPORT", "adm1n", "r00t", "s.u_p-p+o.r_t", "rnoderator", "Nexus"]
MALFORMED = ["boss@corp.com", "a b", "-ann", ".", "ann/bob", "änn", "ann\u200b", "me", "sample-1"]


def register(api, username):
    body = {"username": username, "email": "new@example.org", "password": PASSWORD}
    return api.post("/auth/register/", body)


def create_superuser(username, email="boss@corp.com"):
    call_command("createsuperuser", username=username, email=email, interactive=False)


def add_in_admin(admin_client, username):
    form = {"username": username, "password1": PASSWORD, "password2": PASSWORD}
    return admin_client.post("/admin/accounts/user/add/", {**form, "usable_password": "true"})


@pytest.mark.parametrize("username", [*STAFF_NAMES, *MALFORMED])
def test_registration_refuses_names_of_staff_and_malformed_ones(api, username):
    response = register(api, username)

    assert response.status_code == 400
    assert [error["code"] for error in response.json()["errors"]["username"]] in (
        ["invalid"],
        ["reserved"],
    )


@pytest.mark.parametrize("username", ["ann", "Ann.O-1+x_", "administrate", "rooter", "0", "_x"])
def test_other_names_can_be_registered(api, username):
    assert register(api, username).status_code == 201


@pytest.mark.parametrize("username", MALFORMED)
def test_superuser_with_a_name_that_nobody_could_log_in_with_is_refused(username):
    with pytest.raises(CommandError) as raised:
        create_superuser(username)

    assert "letters, digits" in str(raised.value) or "reserved" in str(raised.value)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("username", "email", "message"),
    [
        ("ANN", "boss@corp.com", "username is already taken"),
        ("boss", "Ann@Example.org", "e-mail address already exists"),
    ],
)
def test_superuser_with_a_taken_name_or_address_is_refused(make_user, username, email, message):
    make_user("ann")

    with pytest.raises(CommandError, match=message):
        create_superuser(username, email)


def test_superuser_may_have_a_name_of_staff_and_can_log_in(api, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

    create_superuser("admin")
    response = api.post("/auth/token/", {"username": "admin", "password": PASSWORD})

    assert response.status_code == 200
    assert User.objects.get().is_superuser


@pytest.mark.parametrize("username", ["boss@corp.com", "support", "me", "ann\u202e"])
def test_admin_form_refuses_the_same_names(admin_client, username):
    response = add_in_admin(admin_client, username)

    assert response.status_code == 200
    assert set(response.context["errors"].data[0].data[0].messages) & {
        "Use only letters, digits and _ . + - , and start with a letter, a digit or _.",
        "This username is reserved. Choose another one.",
        "This username is reserved for staff. Choose another one.",
    }
    assert User.objects.count() == 1


def test_admin_form_gives_staff_a_name_that_is_reserved_for_them(admin_client):
    form = {"username": "support", "email": "support@example.org", "is_staff": "on"}
    passwords = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}

    response = admin_client.post("/admin/accounts/user/add/", {**form, **passwords})

    assert response.status_code == 302
    assert User.objects.get(username="support").is_staff


def test_admin_form_adds_a_user(admin_client):
    assert add_in_admin(admin_client, "ann").status_code == 302
    assert User.objects.filter(username="ann").exists()


def test_table_refuses_a_username_with_at(make_user):
    with pytest.raises(IntegrityError, match="user_username_without_at"), transaction.atomic():
        make_user("boss@corp.com", email="boss@corp.com")


def test_migration_renames_users_with_at_and_nobody_else(make_user, capsys):
    migration = import_module("accounts.migrations.0006_rename_users_with_at")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_user DROP CONSTRAINT user_username_without_at")
    for number, username in enumerate(["boss@corp.com", "boss_corp.com", "jürgen", "x@" * 75]):
        make_user(username, email=f"user{number}@example.org")

    migration.rename_users(apps, None)

    names = list(User.objects.order_by("pk").values_list("username", flat=True))
    assert names == ["boss_corp.com-2", "boss_corp.com", "jürgen", "x_" * 75]
    assert "Renamed the user boss@corp.com to boss_corp.com-2" in capsys.readouterr().out


def test_member_with_a_reserved_name_from_before_stays_editable(make_user, admin_client):
    root = make_user("root")
    url = f"/admin/accounts/user/{root.pk}/change/"
    form = admin_client.get(url).context["adminform"].form
    data = {
        name: form[name].value() for name in form.fields if form[name].value() not in (None, False)
    }
    data["groups"] = [group.pk for group in Group.objects.filter(pk=0)]

    data.pop("is_active", None)
    response = admin_client.post(url, {**data, "favorite_genres": "[]"})

    assert response.status_code == 302, response.context["errors"]
    root.refresh_from_db()
    assert not root.is_active
