import pytest
from django.urls import reverse

from movies.admin import MovieForm
from movies.models import Collection, Credit, Genre, Movie, Person

ADD = "admin:movies_movie_add"
CHANGE = "admin:movies_movie_change"
LIST = "admin:movies_movie_changelist"


@pytest.fixture
def admin_client(client, make_user):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


def build_form_data(movie=None, credit_rows=(), **changes):
    """Return what a browser would send for a movie. None leaves a field out."""
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
        "credits-TOTAL_FORMS": str(len(credit_rows)),
        "credits-INITIAL_FORMS": str(sum("id" in row for row in credit_rows)),
        **({"source": movie.source} if movie else {}),
    }
    for number, row in enumerate(credit_rows):
        data |= {f"credits-{number}-{name}": value for name, value in row.items()}
        data[f"credits-{number}-movie"] = movie.pk if movie else ""
    return {name: value for name, value in {**data, **changes}.items() if value is not None}


def get_form_errors(response):
    assert response.status_code == 200
    return response.context["adminform"].form.errors


@pytest.fixture
def rate(make_user, client_of):
    """Rate a movie with four stars over HTTP."""

    def rate(movie):
        body = {"movie": movie.id, "score": 4.0}
        assert client_of(make_user("ann")).post("/ratings/", body).status_code == 201

    return rate


def search_titles(api, **query):
    return [movie["title"] for movie in api.get("/movies/", query).json()["results"]]


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


def test_new_movie_has_the_manual_source_and_is_searchable(admin_client, api):
    director = Person.objects.create(name="Ridley Scott", folded_name="ridley scott")
    credit = {"role": "director", "position": "0", "person": director.pk, "character": ""}
    data = build_form_data(credit_rows=[credit], source="tmdb")

    response = admin_client.post(reverse(ADD), data)

    assert response.status_code == 302
    movie = Movie.objects.get()
    assert movie.source == Movie.Source.MANUAL
    assert movie.genres == ["Horror", "Science Fiction"]
    assert movie.keywords == ["space", "alien"]
    assert (movie.release_year, movie.sort_title) == (1979, "alien")
    assert search_titles(api, search="alie") == ["Alien"]
    assert search_titles(api, search="ridley scott") == ["Alien"]


def test_edited_movie_is_found_by_its_new_words_only(admin_client, api, make_movie):
    movie = make_movie("Aliens", cast=["Ann Actor"])
    credit = Credit.objects.get()
    row = {"id": credit.pk, "role": "cast", "position": "0", "person": credit.person_id}
    data = build_form_data(movie, [{**row, "DELETE": "on"}], title="The Visitor", genres=None)

    response = admin_client.post(reverse(CHANGE, args=[movie.pk]), data)

    assert response.status_code == 302
    movie.refresh_from_db()
    assert (movie.title, movie.sort_title, movie.genres) == ("The Visitor", "visitor", [])
    assert movie.source == Movie.Source.STARTER
    assert search_titles(api, search="visitor") == ["The Visitor"]
    assert search_titles(api, search="aliens") == search_titles(api, search="ann actor") == []


def test_rating_figures_are_shown_and_cannot_be_edited(admin_client, make_movie, rate):
    movie = make_movie("Alien")
    rate(movie)
    url = reverse(CHANGE, args=[movie.pk])
    data = build_form_data(movie, rating_count="99", rating_sum="400", average_score="5")

    form = admin_client.get(url).context["adminform"].form
    response = admin_client.post(url, data)

    assert "rating_count" not in form.fields
    assert response.status_code == 302
    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum, movie.average_score) == (1, 4.0, 4.0)


def test_saving_a_movie_keeps_ratings_made_meanwhile(admin_client, make_movie, monkeypatch):
    movie = make_movie("Alien")
    clean = MovieForm.clean

    def rate_then_clean(form):
        Movie.objects.update(rating_count=1, rating_sum=5.0)
        return clean(form)

    monkeypatch.setattr(MovieForm, "clean", rate_then_clean)

    response = admin_client.post(reverse(CHANGE, args=[movie.pk]), build_form_data(movie))

    assert response.status_code == 302
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
def test_invalid_value_is_reported_and_not_stored(admin_client, field, value):
    response = admin_client.post(reverse(ADD), build_form_data(**{field: value}))

    assert get_form_errors(response)
    assert not Movie.objects.exists()


def test_unknown_genre_is_named_in_the_error(admin_client):
    response = admin_client.post(reverse(ADD), build_form_data(genres=["Opera"]))

    message = "Select a valid choice. Opera is not one of the available choices."
    assert get_form_errors(response)["genres"] == [message]


def test_a_genre_that_tmdb_has_added_can_be_chosen(admin_client):
    Genre.objects.create(tmdb_id=991, name="Opera")

    response = admin_client.post(reverse(ADD), build_form_data(genres=["Opera", "Drama"]))

    assert response.status_code == 302
    assert Movie.objects.get().genres == ["Drama", "Opera"]


def test_empty_imdb_id_is_stored_as_null(admin_client):
    for number in ("1", "2"):
        data = build_form_data(tmdb_id=number, imdb_id="")
        assert admin_client.post(reverse(ADD), data).status_code == 302

    assert list(Movie.objects.values_list("imdb_id", flat=True)) == [None, None]


def test_taken_tmdb_id_is_reported(admin_client, make_movie):
    make_movie("First", tmdb_id=348)

    response = admin_client.post(reverse(ADD), build_form_data())

    assert get_form_errors(response) == {"tmdb_id": ["Movie with this Tmdb id already exists."]}


def test_two_credits_with_one_position_are_refused(admin_client, make_movie):
    people = [Person.objects.create(name=name, folded_name=name) for name in ("ann", "bob")]
    rows = [{"role": "cast", "position": "0", "person": person.pk} for person in people]

    response = admin_client.post(reverse(ADD), build_form_data(credit_rows=rows))

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
def test_list_is_searched_by_words_of_the_title(admin_client, make_movie, query, titles):
    make_movie("The Matrix", imdb_id="tt0133093", cast=["Keanu Reeves"])
    make_movie("Amélie")

    page = admin_client.get(reverse(LIST), {"q": query})

    assert [movie.title for movie in page.context["cl"].result_list] == titles


def test_filtered_list_takes_a_fixed_number_of_queries(
    admin_client, make_movie, django_assert_num_queries
):
    for number in range(12):
        make_movie(f"Movie {number}", source=Movie.Source.TMDB if number % 2 else "starter")

    with django_assert_num_queries(4):  # session, admin, count, movies
        page = admin_client.get(reverse(LIST), {"source__exact": "tmdb"})

    assert len(page.context["cl"].result_list) == 6


def test_rated_movie_cannot_be_deleted(admin_client, make_movie, rate):
    rated, free = make_movie("Rated"), make_movie("Free")
    rate(rated)
    url = reverse("admin:movies_movie_delete", args=[rated.pk])
    selection = {"action": "delete_selected", "_selected_action": [rated.pk, free.pk]}

    response = admin_client.post(url, {"post": "yes"})
    admin_client.post(reverse(LIST), {**selection, "post": "yes"})

    assert response.status_code == 403
    assert Movie.objects.count() == 2


def test_unrated_movie_is_deleted_with_people_without_other_credits(admin_client, make_movie):
    movie = make_movie("Free", cast=["Ann Actor"])
    selection = {"action": "delete_selected", "_selected_action": [movie.pk]}

    admin_client.post(reverse(LIST), {**selection, "post": "yes"})

    assert not Movie.objects.exists()
    assert not Person.objects.exists()


def test_renamed_person_is_found_by_the_new_name(admin_client, api, make_movie):
    make_movie("Alien", directors=["Ridly Scot"])
    person = Person.objects.get()
    url = reverse("admin:movies_person_change", args=[person.pk])

    response = admin_client.post(url, {"name": "Ridley Scótt", "tmdb_id": ""})

    assert response.status_code == 302
    person.refresh_from_db()
    assert person.folded_name == "ridley scott"
    assert search_titles(api, search="ridley scott") == ["Alien"]
    assert search_titles(api, person="ridley scott") == ["Alien"]
    assert search_titles(api, search="ridly") == []


def test_deleted_person_is_no_longer_found(admin_client, api, make_movie):
    make_movie("Alien", directors=["Ridley Scott"])
    url = reverse("admin:movies_person_delete", args=[Person.objects.get().pk])

    response = admin_client.post(url, {"post": "yes"})

    assert response.status_code == 302
    assert search_titles(api, search="ridley") == []
    assert search_titles(api, search="alien") == ["Alien"]


def test_member_who_is_not_staff_is_redirected_to_the_login(client, make_user):
    client.force_login(make_user("ann"))

    response = client.get(reverse(LIST))

    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


def test_the_list_shows_genres_as_words_and_rounded_numbers(admin_client, make_movie, rate):
    movie = make_movie(
        "Alien", genres=["Science Fiction", "Horror"], vote_average=8.1234, vote_count=14_000
    )
    rate(movie)

    page = admin_client.get(reverse(LIST)).content.decode()

    assert "Science Fiction, Horror" in page or "Horror, Science Fiction" in page
    assert '<td class="field-rounded_average_score">4.0</td>' in page
    assert '<td class="field-rounded_weighted_rating">8.1</td>' in page


def test_a_movie_links_to_its_page_in_the_api(admin_client, api, make_movie):
    movie = make_movie("Alien")

    page = admin_client.get(reverse(CHANGE, args=[movie.pk]))

    assert page.context["absolute_url"] == f"/movies/{movie.pk}/"
    assert api.get(page.context["absolute_url"]).json()["title"] == "Alien"
