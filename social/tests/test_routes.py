import pytest

ROUTES = {
    "/ratings/": {"GET", "POST"},
    "/ratings/1/": {"GET", "PUT", "PATCH", "DELETE"},
    "/movies/1/reviews/": {"GET"},
    "/profiles/stats/": {"GET"},
    "/playlists/": {"GET", "POST"},
    "/playlists/{id}/": {"GET", "PUT", "PATCH", "DELETE"},
    "/playlists/{id}/items/": {"GET", "POST"},
    "/playlists/{id}/items/order/": {"PUT"},
    "/playlists/{id}/items/1/": {"PATCH", "DELETE"},
}


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@pytest.mark.parametrize("path", ROUTES)
def test_methods_that_a_route_does_not_offer_return_405(make_user, client_of, path):
    client = client_of(make_user("ann"))

    for method in METHODS:
        playlist = client.post("/playlists/", {"name": "Nights"}).json()["id"]
        response = client.generic(method, path.format(id=playlist))
        assert response.status_code < 500
        assert (response.status_code == 405) == (method not in ROUTES[path]), method
