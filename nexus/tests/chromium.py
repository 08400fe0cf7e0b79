"""Chromium, for tests of pages and of clients in a browser."""

import shutil
from contextlib import contextmanager

import pytest
from selenium import webdriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--disable-domain-reliability", "--no-default-browser-check", "--window-size=1400,1000"),
]

#: Of a desktop and of a phone.
WIDTHS = (1280, 390)

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs chromium and chromedriver (apt install chromium chromium-driver)",
)


@contextmanager
def open_chromium(folder):
    """Start Chromium with its profile in a folder, and yield its driver."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={folder}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def emulate(browser, *, width, dark=False):
    """Give the browser a screen, and phones' touch below 600 px."""
    driver = browser.driver
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def fits_the_screen(browser):
    script = "return document.documentElement.scrollWidth <= innerWidth"
    return browser.driver.execute_script(script)
