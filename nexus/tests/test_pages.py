"""The HTML pages, in Chromium against a running server."""

import json
from urllib.parse import urlencode, urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.urls import reverse
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from accounts.mail_tokens import make_verification_credentials
from accounts.tokens import family_create
from movies.views import MovieViewSet
from nexus.dev.pytest_plugin import PASSWORD
from nexus.tests.chromium import (
    WIDTHS,
    emulate,
    fits_the_screen,
    needs_chromium,
    open_chromium,
)
from nexus.tests.routes import list_api_routes

WAIT_S = 20

pytestmark = needs_chromium


class Browser:
    """Chromium, with the requests it sent and the errors it logged."""

    def __init__(self, driver):
        self.driver = driver
        self.requests = []
        self.errors = []

    def open(self, url, selector):
        """Load a page and wait for an element."""
        self.driver.get(url)
        self.wait_for(selector)
        self.collect_logs()

    def wait_for(self, selector):
        """Return the first element, once there is one."""
        return WebDriverWait(self.driver, WAIT_S).until(
            lambda driver: driver.find_elements(By.CSS_SELECTOR, selector)
        )[0]

    def click(self, selector):
        """Click the first element, also if it is outside of the window."""
        script = "arguments[0].scrollIntoView(); arguments[0].click()"
        self.driver.execute_script(script, self.wait_for(selector))

    def collect_logs(self):
        """Collect what the browser has logged since the last call."""
        self.errors += [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    def count(self, selector):
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def has_text(self, text):
        # Faster than the visible text, which needs a layout of the whole page.
        script = "return document.body.textContent.includes(arguments[0])"
        return self.driver.execute_script(script, text)

    def list_foreign_requests(self, home):
        """Return the requests to another host."""
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in ("data", "blob", "about")
            and urlsplit(url).netloc != urlsplit(home).netloc
        ]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with open_chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(chromium, idle_database):
    """A new tab, without what earlier pages have stored. It is closed before the tables are emptied."""
    first_tab = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    chromium.execute_cdp_cmd("Network.clearBrowserCache", {})
    chromium.delete_all_cookies()
    browser = Browser(chromium)
    # Forget Chromium's own start page, whose requests are not the service's.
    browser.open("about:blank", "body")
    browser.requests.clear()
    browser.errors.clear()
    yield browser
    chromium.close()
    chromium.switch_to.window(first_tab)


@pytest.fixture(scope="module")
def service(module_gunicorn):
    return module_gunicorn(HTTPS="0", RATE_LIMIT_SCALE="1000")


@pytest.fixture
def home(service, idle_database):
    return service


def _assert_clean(browser, home):
    browser.collect_logs()
    assert browser.errors == []
    assert browser.requests
    assert browser.list_foreign_requests(home) == []


def test_swagger_ui_shows_every_operation_and_loads_from_no_other_host(browser, home):
    browser.open(f"{home}/swagger/", ".opblock")
    operations = sum(len(route.methods) for route in list_api_routes())
    WebDriverWait(browser.driver, WAIT_S).until(lambda _: browser.count(".opblock") == operations)
    assert browser.has_text("Find movies worth your evening")
    assert browser.has_text("TMDB")
    _assert_clean(browser, home)


def test_swagger_ui_executes_a_request(browser, home, make_movie):
    make_movie("Alien")
    browser.open(f"{home}/swagger/", ".opblock")
    for selector in (".opblock-summary-control", ".try-out__btn", ".execute"):
        browser.click(f"#operations-movies-movies_list {selector}")
    WebDriverWait(browser.driver, WAIT_S).until(lambda _: browser.has_text('"title": "Alien"'))
    _assert_clean(browser, home)


def test_swagger_ui_takes_a_raw_token_and_keeps_it_across_a_reload(browser, home, make_user):
    access = family_create(user=make_user("ann")).access
    operation = "#operations-profiles-profiles_me_read"

    browser.open(f"{home}/swagger/", ".opblock")
    browser.click(".auth-wrapper .authorize")
    browser.wait_for(".auth-container input").send_keys(access)
    browser.click(".auth-container .auth.authorize")
    browser.open(f"{home}/swagger/", ".opblock")
    for selector in (".opblock-summary-control", ".try-out__btn", ".execute"):
        browser.click(f"{operation} {selector}")

    WebDriverWait(browser.driver, WAIT_S).until(lambda _: browser.has_text('"username": "ann"'))
    browser.driver.execute_script("localStorage.clear()")
    _assert_clean(browser, home)


def test_swagger_ui_fits_a_phone(browser, home, make_movie):
    make_movie("Alien")
    driver = browser.driver
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        browser.open(f"{home}/swagger/", ".opblock")
        for selector in (".opblock-summary-control", ".try-out__btn", ".execute"):
            browser.click(f"#operations-movies-movies_list {selector}")
        WebDriverWait(driver, WAIT_S).until(lambda _: browser.has_text('"title": "Alien"'))

        widths = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert widths == [390, 390]
        # Text has most of the width: words are not broken into a column of letters.
        for selector in (
            ".opblock-summary-path-description-wrapper",
            "td.parameters-col_description",
            ".responses-table .highlight-code",
        ):
            element = browser.wait_for(f"#operations-movies-movies_list {selector}")
            box = element.rect
            assert box["width"] > 250, selector
            assert box["x"] + box["width"] <= 390, selector
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    _assert_clean(browser, home)


def test_redoc_shows_the_operations_and_loads_from_no_other_host(browser, home):
    browser.open(f"{home}/redoc/", "[data-section-id]")
    summary = MovieViewSet.list.__doc__.splitlines()[0]
    WebDriverWait(browser.driver, WAIT_S).until(lambda _: browser.has_text(summary))
    assert browser.has_text("Nexus Movie API")
    _assert_clean(browser, home)


def test_the_root_and_the_health_page_open(browser, home):
    for path in ("/", "/health/ready/", "/swagger.json"):
        browser.open(home + path, "body")
    _assert_clean(browser, home)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_confirmation_page_verifies_an_address_on_a_click(browser, home, make_user, width):
    ann = make_user("ann", email_verified=False)
    uid, token = make_verification_credentials(ann, ann.email)
    query = urlencode({"uid": uid, "token": token})
    with emulate(browser, width=width):
        browser.open(f"{home}/auth/email/confirm/?{query}", "form button")
        ann.refresh_from_db()
        was_verified = ann.email_verified
        fits = [fits_the_screen(browser)]
        browser.driver.find_element(By.CSS_SELECTOR, "form button").click()
        WebDriverWait(browser.driver, WAIT_S).until(lambda _: browser.count("[role=status]"))
        fits.append(fits_the_screen(browser))
        _assert_clean(browser, home)

    ann.refresh_from_db()
    assert (was_verified, ann.email_verified) == (False, True)
    assert fits == [True, True]


def test_the_admin_opens_from_login_to_every_list_and_form(
    browser, home, make_user, make_movie, client_of
):
    boss = make_user("boss", is_staff=True, is_superuser=True)
    # The server is configured without the fast hasher of the tests.
    boss.password = PBKDF2PasswordHasher().encode(PASSWORD, "a-salt-for-this-test")
    boss.save()
    movie = make_movie("Alien", genres=["Horror"], directors=["Ridley Scott"], cast=["Ian Holm"])
    member = client_of(boss)
    assert member.post("/ratings/", {"movie": movie.pk, "score": 4}).status_code == 201
    playlist = {"name": "Nights", "movie_ids": [movie.pk]}
    assert member.post("/playlists/", playlist).status_code == 201

    browser.open(f"{home}/admin/", "#login-form")
    assert browser.driver.current_url == f"{home}/admin/login/?next=/admin/"
    browser.driver.find_element(By.NAME, "username").send_keys("boss")
    browser.driver.find_element(By.NAME, "password").send_keys(PASSWORD)
    browser.driver.find_element(By.CSS_SELECTOR, "#login-form [type=submit]").click()
    WebDriverWait(browser.driver, WAIT_S).until(lambda _: browser.count("#user-tools"))

    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        browser.open(home + reverse(f"{name}_changelist"), "#changelist")
        rows = browser.count("#result_list tbody tr")
        assert rows == min(model._default_manager.count(), model_admin.list_per_page)
        if rows:
            first = model._default_manager.first()
            browser.open(home + reverse(f"{name}_change", args=[first.pk]), "#content-main")
            assert browser.count(".submit-row")
    _assert_clean(browser, home)
