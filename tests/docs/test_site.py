"""The site as it is built, but for the tutorials' outputs: no warning, nothing from elsewhere, no link into nothing."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from inspect import isclass, isfunction
from urllib.parse import unquote

import pytest

import tinyalex
from pages import ROOT
from site_tools.docstrings import as_rst
from site_tools.links import line_of
from tinyalex import data, layers, viz

LOADS = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "embed": "src",
}


class Page(HTMLParser):
    """What a page loads, links to, and can be linked to at."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found.get("id"), found.get("name")}
        if LOADS.get(tag) in found and found.get("rel") not in ("canonical", "next", "prev", "index", "search"):
            self.loads.append(found[LOADS[tag]])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built with warnings as errors."""
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "-D",
        "nb_execution_mode=off",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    run = subprocess.run(
        [*command, "-d", out / "doctrees", ROOT / "docs", out / "html"], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text()) for path in site.rglob("*.html") if "_static" not in path.parts}


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        for address in page.loads:
            assert not re.match(r"(https?:)?//", address), f"{path.name} loads {address}"
    for path in [*site.glob("_static/*.css"), *site.glob("_static/styles/*.css")]:
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text()), path.name


def test_links_between_pages_lead_somewhere(pages):
    for path, page in pages.items():
        for address in [*page.links, *page.loads]:
            if re.match(r"[a-z]+:|//", address) or address == "#":
                continue
            name, _, anchor = unquote(address).partition("#")
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            assert target.exists(), f"{path.name}: {address}"
            if anchor and target in pages:
                assert anchor in pages[target].ids, f"{path.name}: {address}"


def test_a_link_to_a_name_leads_to_its_line_and_tells_it(site, pages):
    line = line_of(ROOT / "tinyalex" / "layers" / "conv.py", "im2col")
    assert f"source/tinyalex/layers/conv.py.html#L-{line}" in pages[site / "paper.html"].links
    assert f"layers/conv.py:{line}" in (site / "paper.html").read_text()
    shown = (site / "source" / "tinyalex" / "layers" / "conv.py.html").read_text()
    text = shown.partition(f'id="L-{line}"')[2].partition(f'id="L-{line + 1}"')[0]
    assert re.sub(r"<.*?>", "", text).partition(">")[2].strip().startswith(f"{line}def im2col(x: Array")


def test_every_public_name_has_its_place_in_the_reference(pages):
    described = {name for path, page in pages.items() if path.parent.name == "api" for name in page.ids if name}
    last = {name.rpartition(".")[2] for name in described}
    for module in (tinyalex, layers, data, viz):
        names = {name for name in module.__all__ if isclass(found := getattr(module, name)) or isfunction(found)}
        assert names <= last, f"{module.__name__}: {names - last}"


def test_the_search_works_on_files(site, chromium):
    """With excerpts, though pages opened as files may not fetch each other, and without a network."""
    context = chromium.new_context(offline=True)
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"file://{site}/search.html?q=momentum")
    excerpt = page.locator('#search-results li:has(a[href^="experiments/momentum.html"]) p.context').first
    excerpt.wait_for()
    assert "The paper uses 0.9" in excerpt.inner_text()
    assert complaints == []
    context.close()


def test_the_recorded_pass_is_there(site):
    assert "AlexNet, step by step" in (site / "pass.html").read_text()
    assert (site / "pass.html").stat().st_size < 15 * 2**20


def test_the_answers_of_a_tutorial_are_folded(site):
    text = (site / "tutorials" / "02_convolution_as_a_matrix_product.html").read_text()
    folded = re.findall(r'<details class="[^"]*above-input[^"]*">.*?</details>', text, re.DOTALL)
    assert len(folded) == 3
    for answer in folded:
        assert "The answer" in answer
        assert "return" in answer
    hints = re.findall(r"<details><summary>([^<]+)</summary>", text)
    assert hints == 3 * ["A nudge", "More", "Nearly all"]


# ---------------------------------------------------------------- docstrings


def rst(text):
    return [line for line in as_rst(text.splitlines()) if line]


def test_labelled_parts_become_definitions():
    found = rst("Adds: one.\n\nShapes: x (N,) -> y (N,)\n        of any N.\ndtype:  that of x.   Source: section 3.\n")
    assert found == [
        "Adds: one.",
        "Shapes",
        "   x (N,) -\\> y (N,)",
        "   of any N.",
        "dtype",
        "   that of x.",
        "Source",
        "   section 3.",
    ]


def test_formulas_keep_their_lines_and_symbols():
    found = rst("A sum.\n\ny[n] = a * b_ + |c|\nis computed by `f_` and:\n  g(x).\nz = 1")
    assert "| y[n] = a \\* b\\_ + \\|c\\|" in found
    assert "is computed by ``f_`` and:" in found
    assert found[-1] == "| z = 1"


def test_lists_keep_their_lines():
    assert rst("Ways.\n\n- one: `a`,\n  which goes on\n- two*")[1:] == ["- one: ``a``,", "  which goes on", "- two\\*"]
