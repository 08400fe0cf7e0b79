"""Which role may open which page of the admin, as a matrix."""

import re
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.models import KnownAddress, PersonalAccessToken, SpentRefreshToken, TokenFamily, User
from accounts.roles import ADMIN, CURATOR, MODERATOR
from accounts.services import access_token_create, known_address_record
from accounts.tasks import send_password_reset_mail
from accounts.tokens import family_create, refresh_token_rotate
from movies.models import Collection, Person
from nexus.dev.pytest_plugin import PASSWORD
from recommendations.models import Feedback, Training
from social.models import HiddenReview, Import, Playlist, PlaylistItem, Rating, ReviewReport
from social.services.groups import group_create

pytestmark = pytest.mark.django_db

ROLES = (MODERATOR, CURATOR, ADMIN)
# What each role may do with each model of the admin: v(iew), a(dd), c(hange), d(elete). The admin itself
# forbids some of it to everybody: nobody adds a rating, or deletes a member who has data.
MATRIX = {
    # Moderators act by actions and deletion; the pages of what members own are read only.
    "social.rating": {MODERATOR: "vd", ADMIN: "vd"},
    "social.playlist": {MODERATOR: "vd", ADMIN: "vd"},
    "social.playlistitem": {MODERATOR: "vd", ADMIN: "vd"},
    "social.reviewreport": {MODERATOR: "vd", ADMIN: "vd"},
    "social.moviegroup": {MODERATOR: "vd", ADMIN: "vd"},
    "social.hiddenreview": {MODERATOR: "v", ADMIN: "v"},
    # Superusers only.
    "social.import": {},
    "recommendations.training": {ADMIN: "v"},
    "recommendations.feedback": {ADMIN: "v"},
    "movies.movie": {CURATOR: "vacd", ADMIN: "vacd"},
    "movies.person": {CURATOR: "vacd", ADMIN: "vacd"},
    "movies.collection": {CURATOR: "vacd", ADMIN: "vacd"},
    "accounts.user": {ADMIN: "vac"},
    "accounts.tokenfamily": {ADMIN: "vd"},
    "accounts.personalaccesstoken": {ADMIN: "vd"},
    "accounts.spentrefreshtoken": {ADMIN: "vd"},
    "auth.group": {},
    "procrastinate.procrastinatejob": {ADMIN: "v"},
}


@pytest.fixture(autouse=True)
def _roles(db):
    # Migrations create the groups; a test that flushes the database deletes them.
    if not Group.objects.exists():
        import_module("accounts.migrations.0003_roles").make_roles(apps, None)
        import_module("accounts.migrations.0007_admins_jobs").grant_jobs(apps, None)
        import_module("accounts.migrations.0013_personal_access_tokens").grant_tokens(apps, None)
        import_module("social.migrations.0005_moderators_reports").grant_reports(apps, None)
        import_module("social.migrations.0011_existing_moderation").grant_hidden_reviews(apps, None)
        import_module("social.migrations.0030_moderators_groups").grant_groups(apps, None)
        import_module("recommendations.migrations.0002_admins_trainings").grant_trainings(
            apps, None
        )


@pytest.fixture
def stored(make_user, make_movie):
    """Return a row of every model of the admin, by label."""
    ann, movie = make_user("ann"), make_movie("Alien", directors=["Ridley Scott"])
    # Only a movie without ratings can be deleted.
    unrated = make_movie("Brazil")
    now = timezone.now()
    rating = Rating.objects.create(
        user=ann, movie=movie, score=4, review="Rude words.", created_at=now, updated_at=now
    )
    playlist = Playlist.objects.create(owner=ann, name="Nights", movie_count=1)
    item = PlaylistItem.objects.create(playlist=playlist, movie=movie, position=1)
    ProcrastinateJob.objects.all().delete()
    send_password_reset_mail.defer(user_id=0)
    refresh_token_rotate(refresh=family_create(user=ann).refresh)
    access_token_create(user=ann, name="Script", scopes=["read"])
    return {
        "social.rating": rating,
        "social.playlist": playlist,
        "social.playlistitem": item,
        "social.reviewreport": ReviewReport.objects.create(
            rating=rating, reporter=make_user("bob"), reason="abuse"
        ),
        "social.moviegroup": group_create(user_id=ann.pk, name="Friday"),
        "social.hiddenreview": HiddenReview.objects.create(user=ann, movie=movie, hidden_at=now),
        "social.import": Import.objects.create(user=ann, format="imdb", state="failed", step=""),
        "recommendations.training": Training.objects.create(algorithm="edlae-1"),
        "recommendations.feedback": Feedback.objects.create(
            user=ann, movie=movie, kind="less", created_at=now, updated_at=now
        ),
        "movies.movie": unrated,
        "movies.person": Person.objects.get(),
        "movies.collection": Collection.objects.create(tmdb_id=8091, name="Alien Collection"),
        "accounts.user": ann,
        "accounts.tokenfamily": TokenFamily.objects.get(),
        "accounts.personalaccesstoken": PersonalAccessToken.objects.get(),
        "accounts.spentrefreshtoken": SpentRefreshToken.objects.get(),
        "auth.group": Group.objects.first(),
        "procrastinate.procrastinatejob": ProcrastinateJob.objects.get(),
    }


@pytest.fixture
def staff(make_user):
    """Return a function that logs in a staff member with a role, or with none."""

    def staff(role=None, **fields):
        user = make_user(role or "plain", is_staff=True, **fields)
        if role:
            user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return staff


def find_permissions(client, label, pk):
    """Return which of v, a, c, d the pages of a model allow this client."""
    name = f"admin:{label.replace('.', '_')}"
    permissions = ""
    if client.get(reverse(f"{name}_changelist")).status_code == 200:
        permissions += "v"
    if client.get(reverse(f"{name}_add")).status_code == 200:
        permissions += "a"
    page = client.get(reverse(f"{name}_change", args=[pk]))
    if b'name="_save"' in page.content:
        permissions += "c"
    if client.get(reverse(f"{name}_delete", args=[pk])).status_code == 200:
        permissions += "d"
    return permissions


def test_the_matrix_has_every_model_of_the_admin():
    assert set(MATRIX) == {model._meta.label_lower for model in admin.site._registry}


@pytest.mark.parametrize("role", [*ROLES, None])
def test_a_role_opens_the_pages_in_the_matrix_and_no_others(stored, staff, role):
    client = staff(role)

    permissions = {label: find_permissions(client, label, row.pk) for label, row in stored.items()}

    assert permissions == {label: rows.get(role, "") for label, rows in MATRIX.items()}


@pytest.mark.parametrize("role", [*ROLES, None])
def test_the_admins_index_lists_the_models_of_the_role(staff, role):
    page = staff(role).get("/admin/").content.decode()

    shown = set(re.findall(r'<tr class="model-(\w+)', page))

    assert shown == {label.split(".")[1] for label, rows in MATRIX.items() if role in rows}


def test_a_role_without_is_staff_opens_nothing(stored, make_user, settings):
    # One anonymous address opens more pages here than its limit allows.
    settings.RATE_LIMIT_SCALE = 10.0
    user = make_user("outsider")
    user.groups.set(Group.objects.all())
    for client in (Client(), logged_in := Client()):
        if client is logged_in:
            client.force_login(user)
        for label, row in stored.items():
            assert find_permissions(client, label, row.pk) == ""
        assert "/admin/login/" in client.get("/admin/")["Location"]


def test_an_admin_can_make_moderators_but_no_superusers(staff, make_user):
    client, ann = staff(ADMIN), make_user("ann")
    form = {"username": "ann", "email": "ann@example.org", "favorite_genres": "[]"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on"}
    form |= {"visibility": "public", "origin": "registered", "is_staff": "on"}
    form |= {"groups": Group.objects.get(name=MODERATOR).pk, "is_superuser": "on"}
    form |= {"user_permissions": "1"}

    response = client.post(f"/admin/accounts/user/{ann.pk}/change/", form)

    assert response.status_code == 302, response.context["errors"]

    ann.refresh_from_db()
    assert (ann.is_staff, ann.is_superuser, ann.user_permissions.count()) == (True, False, 0)
    assert [group.name for group in ann.groups.all()] == [MODERATOR]


def test_an_admin_cannot_change_a_superuser(staff, make_user):
    client, root = staff(ADMIN), make_user("root", is_superuser=True, is_staff=True)

    base = f"/admin/accounts/user/{root.pk}"

    assert client.post(f"{base}/change/", {"is_active": ""}).status_code == 403

    passwords = {"password1": "another-horse-9", "password2": "another-horse-9"}
    assert client.post(f"{base}/password/", passwords).status_code == 403

    root.refresh_from_db()
    assert root.is_active
    assert root.check_password(PASSWORD)


def test_a_password_set_in_the_admin_ends_the_members_sessions(staff, make_user, client_of):
    ann = make_user("ann")
    known_address_record(user_id=ann.pk, address="192.0.2.1")
    api = client_of(ann)
    passwords = {"password1": "another-horse-9", "password2": "another-horse-9"}
    form = {**passwords, "usable_password": "true"}

    url = f"/admin/accounts/user/{ann.pk}/password/"

    assert staff(ADMIN).post(url, form).status_code == 302
    assert api.get("/profiles/me/").status_code == 401
    assert not KnownAddress.objects.exists()


def test_changing_the_own_password_in_the_admin_ends_the_own_sessions(staff, client_of):
    client = staff(MODERATOR)
    api = client_of(User.objects.get(username=MODERATOR))
    form = {"old_password": PASSWORD, "new_password1": "another-horse-9"}

    response = client.post("/admin/password_change/", {**form, "new_password2": "another-horse-9"})

    assert response.status_code == 302
    assert client.get("/admin/").status_code == 200
    assert api.get("/profiles/me/").status_code == 401


def test_a_role_gives_no_rights_in_the_api(stored, make_user, client_of):
    user = make_user("mod", is_staff=True)

    user.groups.set(Group.objects.all())

    assert client_of(user).delete(f"/ratings/{stored['social.rating'].pk}/").status_code == 404
