"""A small pass to look at, and a browser to look at its page."""

import shutil

import pytest

from cases import small_net
from tinyalex import record

CLASSES = ("ring", "star", "heart")


@pytest.fixture(scope="session")
def small_pass():
    """mini, 16 x 16, one image in float64 with a label: its numbers can be added up again to many digits."""
    net, x, labels = small_net(dtype="float64", seed=3)
    return record(net, x[:1], labels[:1], classes=CLASSES)


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on the PATH")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Open a page: opened(path, "#conv1-forward", phone=True, dark=True); errors and fetches fail the test."""
    contexts, complaints = [], []

    def open_page(path, fragment="", *, phone=False, dark=False, wait="#field"):
        context = chromium.new_context(
            viewport={"width": 360, "height": 740} if phone else {"width": 1280, "height": 900},
            color_scheme="dark" if dark else "light",
            has_touch=phone,
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                complaints.append(asked.url) if not asked.url.startswith(("file:", "data:", "blob:")) else None
            ),
        )
        page.goto(f"file://{path}{fragment}")
        page.wait_for_selector(wait)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
