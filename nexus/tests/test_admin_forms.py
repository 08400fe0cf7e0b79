"""Staff take away; they never write in a member's name. Holds for every admin of what members own."""

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.models import User
from nexus.tests.test_roles import _roles, stored  # noqa: F401 (fixtures)
from social.models import PlaylistItem, ReviewReport

pytestmark = pytest.mark.django_db

# Settings of an account, which are no words of the member. The e-mail address is for members who
# have lost their mailbox.
ACCOUNT_SETTINGS = {
    *("email", "is_active", "is_staff", "is_superuser", "groups", "user_permissions", "password"),
}


def belongs_to_a_member(model, seen=frozenset()):
    """Return whether the model is User, or leads to it by foreign keys."""
    if model is User:
        return True
    related = {field.related_model for field in model._meta.concrete_fields} - {None, model} - seen
    return any(belongs_to_a_member(other, seen | {model}) for other in related)


def list_member_admins():
    return {
        model._meta.label_lower: model_admin
        for model, model_admin in admin.site._registry.items()
        if belongs_to_a_member(model)
    }


MEMBER_ADMINS = sorted(list_member_admins())


def read_row(instance):
    """Return the columns of a row."""
    return type(instance)._default_manager.filter(pk=instance.pk).values().get()


def test_the_models_that_belong_to_members_are_found():
    assert {"accounts.user", "social.playlistitem", "social.reviewreport"} <= set(MEMBER_ADMINS)
    assert not {"movies.movie", "movies.person"} & set(MEMBER_ADMINS)


@pytest.mark.parametrize("label", MEMBER_ADMINS)
def test_the_form_has_no_field_of_a_member(admin_client, stored, label):  # noqa: F811
    url = reverse(f"admin:{label.replace('.', '_')}_change", args=[stored[label].pk])

    response = admin_client.get(url)

    fields = set(response.context["adminform"].form.fields)
    assert response.status_code == 200
    assert fields <= (ACCOUNT_SETTINGS if label == "accounts.user" else set())
    assert response.context["inline_admin_formsets"] == []


@pytest.mark.parametrize("label", MEMBER_ADMINS)
def test_posting_every_column_changes_nothing_of_a_member(admin_client, stored, label):  # noqa: F811
    instance = stored[label]
    url = reverse(f"admin:{label.replace('.', '_')}_change", args=[instance.pk])
    before = read_row(instance)
    form = {
        field.name: "public" if field.name == "visibility" else "Written by staff."
        for field in instance._meta.concrete_fields
    }
    form |= {"email": before.get("email", ""), "is_active": "on", "_save": "Save"}

    response = admin_client.post(url, form)

    after = read_row(instance)
    assert response.status_code in (302, 403)
    assert {name: value for name, value in after.items() if name not in ACCOUNT_SETTINGS} == {
        name: value for name, value in before.items() if name not in ACCOUNT_SETTINGS
    }


@pytest.mark.parametrize("label", [label for label in MEMBER_ADMINS if label != "accounts.user"])
def test_nothing_can_be_added_in_the_name_of_a_member(admin_client, label):
    url = reverse(f"admin:{label.replace('.', '_')}_add")

    assert admin_client.get(url).status_code == 403
    assert admin_client.post(url, {"name": "Written by staff."}).status_code == 403


@pytest.mark.parametrize("label", MEMBER_ADMINS)
def test_no_list_can_be_edited(label):
    assert not list_member_admins()[label].list_editable


WORDS = ("review", "comment", "name", "description", "note", "display_name", "bio")


def collect_words(instances):
    """Return what members wrote in these rows, without those that were deleted."""
    return {
        row[name]
        for instance in instances.values()
        if belongs_to_a_member(type(instance))
        for row in type(instance)._default_manager.filter(pk=instance.pk).values()
        for name in WORDS
        if name in row
    }


def test_no_action_writes_words(admin_client, stored):  # noqa: F811
    PlaylistItem.objects.update(note="A note.")
    User.objects.update(display_name="Ann", bio="A bio.", avatar_url="https://example.org/a.png")
    words = collect_words(stored)

    for label, model_admin in list_member_admins().items():
        url = reverse(f"admin:{label.replace('.', '_')}_change", args=[stored[label].pk])
        for action in model_admin.actions or ():
            admin_client.post(url, {"_action": action})

    assert {"Rude words.", "Nights", "A note.", "Ann", "A bio."} <= words
    assert collect_words(stored) <= words | {""}


def test_a_profile_can_be_cleared_and_a_member_deactivated(admin_client, make_user, client_of):
    ann = make_user("ann", display_name="Rude", bio="Rude", avatar_url="https://example.org/a.png")
    api = client_of(ann)
    url = f"/admin/accounts/user/{ann.pk}/change/"

    cleared = admin_client.post(url, {"_action": "clear_profile"}, follow=True).content.decode()
    status_before = api.get("/profiles/me/").status_code
    deactivated = admin_client.post(url, {"_action": "deactivate"}, follow=True).content.decode()

    ann.refresh_from_db()
    assert "1 profile cleared." in cleared
    assert "1 user deactivated." in deactivated
    assert (ann.display_name, ann.bio, ann.avatar_url, ann.is_active) == ("", "", "", False)
    assert [status_before, api.get("/profiles/me/").status_code] == [200, 401]


def test_a_playlist_shows_its_movies_in_order(admin_client, make_user, make_movie, client_of):
    movies = [make_movie(title) for title in ("Alien", "Stalker")]
    body = {"name": "Nights", "movie_ids": [movie.pk for movie in movies], "visibility": "public"}
    playlist_id = client_of(make_user("ann")).post("/playlists/", body).json()["id"]

    page = admin_client.get(f"/admin/social/playlist/{playlist_id}/change/")

    text = page.content.decode()
    links = [
        f'<a href="/admin/movies/movie/{movie.pk}/change/">{movie.title}</a>' for movie in movies
    ]
    assert 0 < text.index(links[0]) < text.index(links[1])
    assert page.context["absolute_url"] == f"/playlists/{playlist_id}/"


def test_a_private_playlist_links_to_no_page_of_the_api(admin_client, make_user, client_of):
    body = {"name": "Nights", "visibility": "private"}
    playlist_id = client_of(make_user("ann")).post("/playlists/", body).json()["id"]

    page = admin_client.get(f"/admin/social/playlist/{playlist_id}/change/")

    assert page.context["absolute_url"] is None


@pytest.mark.parametrize("label", ["social.rating", "social.reviewreport", "accounts.user"])
def test_what_members_own_links_to_the_api(admin_client, api, stored, label):  # noqa: F811
    ReviewReport.objects.update(movie_id=stored["social.rating"].movie_id)
    url = reverse(f"admin:{label.replace('.', '_')}_change", args=[stored[label].pk])

    link = admin_client.get(url).context["absolute_url"]

    assert api.get(link).status_code == 200


def test_the_index_begins_with_what_staff_use_most(admin_client):
    apps = admin_client.get("/admin/").context["app_list"]

    assert [app["app_label"] for app in apps[:3]] == ["social", "movies", "accounts"]
    assert [app["models"][0]["object_name"] for app in apps[:3]] == [
        *("ReviewReport", "Movie", "User"),
    ]
