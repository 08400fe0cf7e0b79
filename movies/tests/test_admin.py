import pytest
from django.urls import reverse

from movies.admin import MovieForm
from movies.models import Collection, Credit, Movie, Person

ADD = "admin:movies_movie_add"
CHANGE = "admin:movies_movie_change"
LIST = "admin:movies_movie_changelist"


@pytest.fixture
def admin_client(client, make_user):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


def form_of(movie=None, billed=(), **changes):
    """What a browser would send for a film; None leaves a field out."""
    data = {
        "title": "Alien",
        "tmdb_id": "348",
        "imdb_id": "tt0078748",
        "release_date": "1979-05-25",
        "genres": ["Science Fiction", "Horror"],
        "keywords": "Space\r\n alien \r\n\r\nspace",
        "vote_average": "8.2",
        "vote_count": "14000",
        "popularity": "60.5",
        "credits-TOTAL_FORMS": str(len(billed)),
        "credits-INITIAL_FORMS": str(sum("id" in each for each in billed)),
        **({"source": movie.source} if movie else {}),
    }
    for number, credit in enumerate(billed):
        data |= {f"credits-{number}-{name}": value for name, value in credit.items()}
        data[f"credits-{number}-movie"] = movie.pk if movie else ""
    return {name: value for name, value in {**data, **changes}.items() if value is not None}


def errors_of(response):
    assert response.status_code == 200
    return response.context["adminform"].form.errors


@pytest.fixture
def rate(make_user, client_of):
    """Has a member give a film four stars, over HTTP."""

    def rate(movie):
        sent = {"movie": movie.id, "score": 4.0}
        assert client_of(make_user("ann")).post("/ratings/", sent).status_code == 201

    return rate


def found(api, **query):
    return [film["title"] for film in api.get("/movies/", query).json()["results"]]


def test_every_page_opens(admin_client, make_movie):
    movie = make_movie("Alien", directors=["Ridley Scott"], genres=["Horror"], keywords=["space"])
    collection = Collection.objects.create(tmdb_id=8091, name="Alien Collection")
    for model, pk in (
        ("movie", movie.pk),
        ("person", Person.objects.get().pk),
        ("collection", collection.pk),
    ):
        for name, args in (
            ("changelist", []),
            ("add", []),
            ("change", [pk]),
            ("history", [pk]),
            ("delete", [pk]),
        ):
            page = admin_client.get(reverse(f"admin:movies_{model}_{name}", args=args))
            assert page.status_code == 200, (model, name)
    page = admin_client.get(reverse(CHANGE, args=[movie.pk])).content.decode()
    assert 'value="Horror"' in page
    assert ">\nspace</textarea>" in page


def test_a_new_film_is_entered_by_hand_and_can_be_found(admin_client, api):
    director = Person.objects.create(name="Ridley Scott", folded_name="ridley scott")
    credit = {"role": "director", "position": "0", "person": director.pk, "character": ""}
    response = admin_client.post(reverse(ADD), form_of(billed=[credit], source="tmdb"))
    assert response.status_code == 302
    movie = Movie.objects.get()
    assert movie.source == Movie.Source.MANUAL
    assert movie.genres == ["Horror", "Science Fiction"]
    assert movie.keywords == ["space", "alien"]
    assert (movie.release_year, movie.sort_title) == (1979, "alien")
    assert found(api, search="alie") == found(api, search="ridley scott") == ["Alien"]


def test_an_edited_film_is_found_by_its_new_words_only(admin_client, api, make_movie):
    movie = make_movie("Aliens", cast=["Ann Actor"])
    credit = Credit.objects.get()
    sent = {"id": credit.pk, "role": "cast", "position": "0", "person": credit.person_id}
    data = form_of(movie, [{**sent, "DELETE": "on"}], title="The Visitor", genres=None)
    assert admin_client.post(reverse(CHANGE, args=[movie.pk]), data).status_code == 302
    movie.refresh_from_db()
    assert (movie.title, movie.sort_title, movie.genres) == ("The Visitor", "visitor", [])
    assert movie.source == Movie.Source.STARTER
    assert found(api, search="visitor") == ["The Visitor"]
    assert found(api, search="aliens") == found(api, search="ann actor") == []


def test_counts_of_ratings_are_shown_and_cannot_be_edited(admin_client, make_movie, rate):
    movie = make_movie("Alien")
    rate(movie)
    url = reverse(CHANGE, args=[movie.pk])
    assert "rating_count" not in admin_client.get(url).context["adminform"].form.fields
    data = form_of(movie, rating_count="99", rating_sum="400", average_score="5")
    assert admin_client.post(url, data).status_code == 302
    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum, movie.average_score) == (1, 4.0, 4.0)


def test_saving_a_known_film_leaves_ratings_made_meanwhile(admin_client, make_movie, monkeypatch):
    movie = make_movie("Alien")
    clean = MovieForm.clean

    def rated_meanwhile(form):
        Movie.objects.update(rating_count=1, rating_sum=5.0)
        return clean(form)

    monkeypatch.setattr(MovieForm, "clean", rated_meanwhile)
    assert admin_client.post(reverse(CHANGE, args=[movie.pk]), form_of(movie)).status_code == 302
    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum) == (1, 5.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("genres", ["Opera"]),
        ("genres", '["Horror"]'),
        ("genres", '{"a": 1}'),
        ("imdb_id", "0078748"),
        ("imdb_id", "tt78"),
        ("tmdb_id", "0"),
        ("tmdb_id", "99999999999999999999"),
        ("title", ""),
        ("title", "a\x00b"),
        ("keywords", "a\x00b"),
        ("keywords", "\n".join(map(str, range(101)))),
        ("release_date", "1979-02-30"),
        ("release_date", "1066-10-14"),
        ("runtime", "0"),
        ("runtime", "-1"),
        ("vote_average", "nan"),
        ("vote_average", "11"),
        ("vote_average", "inf"),
        ("popularity", "1e300"),
        ("vote_count", "2147483648"),
    ],
)
def test_what_the_catalogue_does_not_take_is_told_and_not_stored(admin_client, field, value):
    errors = errors_of(admin_client.post(reverse(ADD), form_of(**{field: value})))
    assert errors
    assert not Movie.objects.exists()


def test_an_invalid_genre_is_named(admin_client):
    errors = errors_of(admin_client.post(reverse(ADD), form_of(genres=["Opera"])))
    assert errors["genres"] == ["Select a valid choice. Opera is not one of the available choices."]


def test_an_empty_imdb_id_is_none_so_that_many_films_can_have_none(admin_client):
    for number in ("1", "2"):
        data = form_of(tmdb_id=number, imdb_id="")
        assert admin_client.post(reverse(ADD), data).status_code == 302
    assert list(Movie.objects.values_list("imdb_id", flat=True)) == [None, None]


def test_a_taken_tmdb_id_is_told(admin_client, make_movie):
    make_movie("First", tmdb_id=348)
    errors = errors_of(admin_client.post(reverse(ADD), form_of()))
    assert errors == {"tmdb_id": ["Movie with this Tmdb id already exists."]}


def test_two_credits_in_one_place_are_told(admin_client, make_movie):
    people = [Person.objects.create(name=name, folded_name=name) for name in ("ann", "bob")]
    billed = [{"role": "cast", "position": "0", "person": each.pk} for each in people]
    response = admin_client.post(reverse(ADD), form_of(billed=billed))
    assert response.status_code == 200
    assert not Movie.objects.exists()


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("matr", ["The Matrix"]),
        ("amelie", ["Amélie"]),
        ("tt0133093", ["The Matrix"]),
        ("reeves", []),
        ("???", []),
        ("a\x00b", ["Amélie", "The Matrix"]),  # refused with a message by Django
        ("", ["Amélie", "The Matrix"]),
    ],
)
def test_the_list_is_searched_by_words_of_the_title(admin_client, make_movie, query, titles):
    make_movie("The Matrix", imdb_id="tt0133093", cast=["Keanu Reeves"])
    make_movie("Amélie")
    page = admin_client.get(reverse(LIST), {"q": query})
    assert [movie.title for movie in page.context["cl"].result_list] == titles


def test_the_list_is_filtered_by_source_in_a_fixed_number_of_queries(
    admin_client, make_movie, django_assert_num_queries
):
    for number in range(12):
        make_movie(f"Film {number}", source=Movie.Source.TMDB if number % 2 else "starter")
    with django_assert_num_queries(4):  # session, admin, count, films
        page = admin_client.get(reverse(LIST), {"source__exact": "tmdb"})
    assert len(page.context["cl"].result_list) == 6


def test_a_film_in_use_cannot_be_deleted_and_another_can(admin_client, make_movie, rate):
    rated, free = make_movie("Rated"), make_movie("Free", cast=["Ann Actor"])
    rate(rated)
    url = reverse("admin:movies_movie_delete", args=[rated.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403
    both = {
        "action": "delete_selected",
        "_selected_action": [rated.pk, free.pk],
        "post": "yes",
    }
    admin_client.post(reverse(LIST), both)
    assert Movie.objects.count() == 2
    admin_client.post(reverse(LIST), {**both, "_selected_action": [free.pk]})
    assert list(Movie.objects.all()) == [rated]
    assert not Person.objects.exists()


def test_a_renamed_person_is_found_by_the_new_name(admin_client, api, make_movie):
    make_movie("Alien", directors=["Ridly Scot"])
    person = Person.objects.get()
    url = reverse("admin:movies_person_change", args=[person.pk])
    assert admin_client.post(url, {"name": "Ridley Scótt", "tmdb_id": ""}).status_code == 302
    person.refresh_from_db()
    assert person.folded_name == "ridley scott"
    assert found(api, search="ridley scott") == found(api, person="ridley scott") == ["Alien"]
    assert found(api, search="ridly") == []


def test_a_deleted_person_leaves_the_search_words(admin_client, api, make_movie):
    make_movie("Alien", directors=["Ridley Scott"])
    url = reverse("admin:movies_person_delete", args=[Person.objects.get().pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 302
    assert found(api, search="ridley") == []
    assert found(api, search="alien") == ["Alien"]


def test_a_member_who_is_not_staff_is_sent_to_the_login(client, make_user):
    client.force_login(make_user("ann"))
    response = client.get(reverse(LIST))
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]
