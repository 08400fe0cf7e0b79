"""Scripts of another origin: the headers they may send and read."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from accounts.tokens import family_create
from nexus.tests.chromium import needs_chromium, open_chromium

ORIGIN = "https://app.example.org"
SENT = {"authorization", "content-type", "if-match", "if-none-match", "x-request-id"}
READABLE = {
    "Age", "Content-Disposition", "Content-Language", "ETag", "Location", "RateLimit",
    "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-ID",
}  # fmt: skip


@pytest.fixture
def allowed_origin(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]


def test_a_preflight_allows_exactly_the_headers_of_the_contract(api, db, allowed_origin):
    response = api.options(
        "/playlists/00000000-0000-0000-0000-000000000000/items/order/",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,content-type,if-match",
        },
    )

    assert response.status_code == 200
    assert set(response["Access-Control-Allow-Headers"].split(", ")) == SENT
    assert "PUT" in response["Access-Control-Allow-Methods"]


def test_a_response_exposes_exactly_the_headers_of_the_contract(api, db, allowed_origin):
    response = api.get("/movies/", headers={"Origin": ORIGIN})

    assert response["Access-Control-Allow-Origin"] == ORIGIN
    assert set(response["Access-Control-Expose-Headers"].split(", ")) == READABLE


def test_another_origin_gets_no_cors_headers(api, db, allowed_origin):
    response = api.get("/movies/", headers={"Origin": "https://elsewhere.example.org"})

    assert "Access-Control-Allow-Origin" not in response


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A client</title>")

    def log_message(self, *arguments):
        pass


@contextmanager
def serve_client():
    """Serve an empty page, and yield its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


REORDER = """
const [home, token, playlist, movieIds, done] = arguments;
(async () => {
  const headers = {Authorization: `Bearer ${token}`, 'Content-Type': 'application/json'};
  const items = await fetch(`${home}/playlists/${playlist}/items/`, {headers});
  const etag = items.headers.get('ETag');
  const put = (ifMatch) => fetch(`${home}/playlists/${playlist}/items/order/`, {
    method: 'PUT',
    headers: {...headers, 'If-Match': ifMatch, 'X-Request-ID': 'from-a-browser'},
    body: JSON.stringify({movie_ids: movieIds}),
  });
  const reordered = await put(etag);
  const stale = await put(etag);
  const known = await fetch(`${home}/movies/`, {cache: 'no-store', headers: {'If-None-Match': '"x"'}});
  return {
    etag,
    reordered: reordered.status,
    newEtag: reordered.headers.get('ETag'),
    requestId: reordered.headers.get('X-Request-ID'),
    rateLimit: reordered.headers.get('RateLimit'),
    stale: stale.status,
    known: known.status,
  };
})().then(done, (error) => done({error: String(error)}));
"""


@needs_chromium
def test_a_browser_on_another_origin_reorders_a_playlist(
    gunicorn, make_user, make_movie, client_of, tmp_path
):
    member = make_user("ann")
    first, second = make_movie("Alien").pk, make_movie("Brazil").pk
    body = {"name": "Nights", "movie_ids": [first, second]}
    playlist = client_of(member).post("/playlists/", body).json()["id"]
    token = family_create(user=member).access
    with serve_client() as origin, open_chromium(tmp_path) as driver:
        home = gunicorn(HTTPS="0", CORS_ALLOWED_ORIGINS=origin)
        driver.set_script_timeout(20)
        driver.get(origin)

        seen = driver.execute_async_script(REORDER, home, token, playlist, [second, first])

        assert "error" not in seen, seen
        assert (seen["reordered"], seen["stale"], seen["known"]) == (200, 412, 200)
        assert seen["etag"]
        assert seen["newEtag"] not in (None, seen["etag"])
        assert seen["requestId"] == "from-a-browser"
        assert seen["rateLimit"].startswith('"address"')
    items = client_of(member).get(f"/playlists/{playlist}/items/").json()["results"]
    assert [item["movie"]["id"] for item in items] == [second, first]
