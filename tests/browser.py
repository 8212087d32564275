"""A page in a browser: whatever it complains about fails the test, and so does whatever it fetches."""

import pytest


@pytest.fixture
def opened(chromium):
    """Open a page: opened(path, "#conv1-forward", phone=True, dark=True); errors and fetches fail the test."""
    contexts, complaints = [], []

    def open_page(path, fragment="", *, phone=False, dark=False, wait="#field"):
        context = chromium.new_context(
            viewport={"width": 360, "height": 740} if phone else {"width": 1400, "height": 900},
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
