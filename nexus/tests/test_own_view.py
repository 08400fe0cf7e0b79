"""Members who ask at the same time each see their own, and at once what they have written."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

MEMBERS, ROUNDS = 4, 5


@pytest.mark.django_db(transaction=True)
def test_interleaved_members_see_their_own_and_each_write_at_once(
    make_user, make_movie, client_of, unlimited
):
    films = [make_movie(f"Film {number}", genres=["Drama"]) for number in range(ROUNDS)]
    names = [f"member{number}" for number in range(MEMBERS)]
    clients = {name: client_of(make_user(name)) for name in names}

    def live(name):
        wrong, api = [], clients[name]
        for number, film in enumerate(films):
            display = f"{name} in round {number}"
            score = 1 + (names.index(name) + number) % 5
            api.patch("/profiles/me/", {"display_name": display})
            api.post("/ratings/", {"movie": film.pk, "score": score, "review": display})
            me, mine = api.get("/profiles/me/"), api.get("/ratings/").json()
            stats = api.get("/profiles/stats/").json()
            seen = {
                "me": (me.json()["username"], me.json()["display_name"]),
                "rating": (
                    mine["count"],
                    mine["results"][0]["review"],
                    mine["results"][0]["score"],
                ),
                "stats": stats["total_ratings"],
            }
            if seen != {
                "me": (name, display),
                "rating": (number + 1, display, float(score)),
                "stats": number + 1,
            }:
                wrong.append(seen)
            if me["Cache-Control"] != "private, no-store":
                wrong.append(me["Cache-Control"])
        connection.close()
        return wrong

    with ThreadPoolExecutor(MEMBERS) as pool:
        assert [each for some in pool.map(live, names) for each in some] == []
