"""Movie night on the page at `/`: two browsers join a group by its code, vote and decide."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from nexus.tests.chromium import open_chromium
from nexus.tests.test_home_page import click, emulate, fits_the_screen, wait_for, wait_for_text
from nexus.tests.test_pages import (
    WAIT_S,
    Browser,
    _assert_clean,
    browser,  # noqa: F401 (fixture)
    chromium,  # noqa: F401 (fixture)
    home,  # noqa: F401 (fixture)
    pytestmark,  # noqa: F401 (skips without Chromium)
    service,  # noqa: F401 (fixture)
)
from recommendations.tests.community import made_up
from social.models import GroupMembership, GroupVote

CODE = "#night-show-code"


@pytest.fixture(scope="module")
def other_chromium(tmp_path_factory):
    with open_chromium(tmp_path_factory.mktemp("other")) as driver:
        yield driver


@pytest.fixture
def friend(other_chromium, idle_database):
    """A second browser, whose tab knows nothing of the first one's."""
    other_chromium.get("about:blank")
    friend = Browser(other_chromium)
    friend.collect_logs()
    friend.requests.clear()
    friend.errors.clear()
    yield friend
    # Ends the requests of the page before the tables are emptied.
    other_chromium.get("about:blank")


def open_page(browser, home):  # noqa: F811
    browser.open(f"{home}/", "#shelf li")
    browser.driver.execute_script("sessionStorage.clear()")


def start_group(browser):  # noqa: F811
    """Start a movie night and return its code."""
    click(browser, "#night-create button")
    wait_for_text(browser, CODE, "-")
    return browser.driver.find_element(By.CSS_SELECTOR, CODE).text


def join(browser, code):  # noqa: F811
    wait_for(browser, "#night-code")[0].send_keys(code.lower(), Keys.ENTER)


def read_list(browser):  # noqa: F811
    """Return the titles of the group's list, in one step, because the page replaces its entries."""
    titles: list[str] = browser.driver.execute_script(
        "return [...document.querySelectorAll('#night-list strong')].map((title) => title.innerText)"
    )
    return titles


def wait_until(browser, condition):  # noqa: F811
    WebDriverWait(browser.driver, WAIT_S).until(
        lambda _: condition(), "the list has not become as expected"
    )


def test_two_browsers_join_by_code_see_one_list_vote_and_decide(browser, friend, home):  # noqa: F811
    made_up(members=20, movies=30)
    open_page(browser, home)
    code = start_group(browser)
    wait_for_text(browser, "#night-hint", "when a second person has joined")

    with emulate(friend, width=390, dark=True):
        open_page(friend, home)
        join(friend, code)
        wait_for(friend, "#night-list li")
        wait_for(browser, "#night-list li")
        wait_until(browser, lambda: read_list(browser) == read_list(friend))
        titles = read_list(browser)
        assert fits_the_screen(friend)
        assert fits_the_screen(browser)
        wait_for_text(browser, "#night-hint", "Without a rating")
        assert browser.driver.find_element(By.ID, "night-people").text.startswith("You, guest-")

        # A veto leaves both lists; a yes comes first in both.
        click(friend, "#night-list li:nth-child(1) [data-key^=veto]")
        wait_until(browser, lambda: titles[0] not in read_list(browser))
        click(browser, "#night-list li:nth-child(3) [data-key^=yes]")
        wait_until(friend, lambda: read_list(friend)[:1] == [titles[3]])
        assert read_list(browser)[0] == titles[3]
        assert browser.count("#night-decided[hidden]") == 1
        click(friend, "#night-list li:nth-child(1) [data-key^=yes]")
        for each in (friend, browser):
            wait_for_text(each, "#night-decided", f"Decided: {titles[3]}")
            _assert_clean(each, home)

        # Back in after a reload, and the veto can be taken back.
        friend.driver.refresh()
        wait_for_text(friend, "#night-decided", titles[3])
        click(friend, "#night-vetoes button")
        wait_until(browser, lambda: titles[0] in read_list(browser))

    assert sorted(GroupVote.objects.values_list("vote", flat=True)) == ["yes", "yes"]
    assert GroupMembership.objects.count() == 2


def test_movie_night_works_with_the_keyboard_and_keeps_the_focus(browser, friend, home):  # noqa: F811
    made_up(members=20, movies=30)
    open_page(browser, home)
    driver = browser.driver
    driver.find_element(By.CSS_SELECTOR, "#night-create button").send_keys(Keys.ENTER)
    wait_for_text(browser, CODE, "-")
    assert driver.switch_to.active_element.get_attribute("id") == "night-title"
    open_page(friend, home)
    join(friend, driver.find_element(By.CSS_SELECTOR, CODE).text)
    button = wait_for(browser, "#night-list li:nth-child(2) [data-key^=yes]")[0]
    key = button.get_attribute("data-key")

    button.send_keys(Keys.ENTER)
    wait_for(browser, f"[data-key={key}][aria-pressed=true]")
    focused = driver.switch_to.active_element.get_attribute("data-key")
    driver.switch_to.active_element.send_keys(Keys.SPACE)
    wait_for(browser, f"[data-key={key}][aria-pressed=false]")

    controls = driver.execute_script(
        "return [...document.querySelectorAll('#night button, #night input, #night a')]"
        ".filter((control) => control.checkVisibility())"
    )
    assert focused == key
    assert all(control.accessible_name for control in controls)
    assert len({control.accessible_name for control in controls}) == len(controls)


def test_wrong_code_is_explained_and_leaving_shows_the_forms_again(browser, home):  # noqa: F811
    made_up(members=5, movies=30)
    open_page(browser, home)

    join(browser, "wrong-code")
    wait_for_text(browser, "#night-notice", "No group can be joined with this code")
    start_group(browser)
    click(browser, "#night-leave")
    wait_for(browser, "#night-start:not([hidden])")

    assert not GroupMembership.objects.exists()
    assert browser.count("#night-notice[hidden]")
