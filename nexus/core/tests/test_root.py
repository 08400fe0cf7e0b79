"""`/`: a page for people, JSON for programs."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from nexus.core.api.root import TMDB_NOTICE

pytestmark = pytest.mark.django_db

BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
ASSETS = ("home/api.js", "home/drawings.js", "home/home.css", "home/home.js")


def get_root(api, accept):
    return api.get("/", headers={"Accept": accept} if accept else {})


@pytest.mark.parametrize("accept", [BROWSER_ACCEPT, "text/html", "text/html, application/json"])
def test_browsers_get_the_page(api, accept):
    response = get_root(api, accept)

    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert TMDB_NOTICE in response.content.decode()
    assert "JustWatch" in response.content.decode()


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "image/png",
        "text/html;q=0",
    ],
)
def test_programs_get_json(api, accept):
    response = get_root(api, accept)

    assert response["Content-Type"] == "application/json"
    assert response.json()["attribution"]["notice"] == TMDB_NOTICE


@pytest.mark.parametrize("accept", [BROWSER_ACCEPT, "application/json"])
def test_both_vary_by_accept_and_can_be_revalidated(api, accept):
    response = get_root(api, accept)

    repeated = api.get("/", headers={"Accept": accept, "If-None-Match": response["ETag"]})

    assert "Accept" in response["Vary"].split(", ")
    assert response["Cache-Control"] == "public, max-age=60"
    assert repeated.status_code == 304
    assert "Accept" in repeated["Vary"].split(", ")


def test_the_page_allows_no_script_or_style_but_its_files(api):
    response = get_root(api, BROWSER_ACCEPT)
    page = response.content.decode()

    assert response["Content-Security-Policy"] == (
        "default-src 'self'; img-src 'self' data: https://image.tmdb.org"
    )
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert re.findall(r"<script[^>]*>", page) == [
        '<script type="module" src="/static/home/home.js">'
    ]


@pytest.mark.parametrize("name", ASSETS)
def test_the_files_of_the_page_write_no_markup_of_texts(name):
    text = Path(finders.find(name)).read_text("utf-8")

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"localStorage|document\.cookie", text)
    assert "https://" not in text
