"""Every link of the pages, the tutorials and the README leads somewhere, on a code host and on the site."""

import re

import pytest

from pages import ROOT, links, texts, tokens
from site_tools.links import line_of, on_site, site_link

MADE = {"pass.html"}  # when the site is built


def headings(text):
    """The addresses of a page's headings, as code hosts and MyST make them."""
    found = tokens(text)
    titles = [found[i + 1].content for i, token in enumerate(found) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("page", "text"), list(texts()), ids=lambda value: getattr(value, "name", ""))
def test_links_resolve(page, text):
    for target in links(text):
        if re.match(r"https?:|mailto:", target) or target in MADE:
            continue
        path, _, name = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() and not file.suffix:  # a card names a page without its ending
            file = file.with_suffix(".md")
        assert file.exists(), f"{page.name}: {target}"
        assert file.is_relative_to(ROOT), f"{page.name}: {target} leaves the project"
        if name and file.suffix == ".py":
            assert line_of(file, name) > 0
        elif name:
            assert name in headings(file.read_text()), f"{page.name}: {target}"


def test_the_glossary_is_in_order_and_the_tutorials_link_to_it():
    """Every tutorial links to words of it, and each of them is explained: test_links_resolve sees to that."""
    glossary = ROOT / "docs" / "glossary.md"
    words = re.findall(r"^## (.+)$", glossary.read_text(), re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    for page, text in texts():
        if page.parent.name == "notebooks":
            assert "../docs/glossary.md#" in text, page.name


def test_no_file_is_a_symbolic_link():
    """A clone on Windows has a text file in its place."""
    folders = [ROOT, *(ROOT / name for name in ("docs", "notebooks", "tests", "tinyalex"))]
    found = [path for folder in folders for path in (folder.rglob("*") if folder != ROOT else folder.glob("*"))]
    assert [path for path in found if path.is_symlink()] == []


def test_line_of(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "ONE = 1\nTWO: int = 2\n\n\n@one\n@two\ndef f():\n    x = 3\n\n\n"
        "class C:\n    y = 1\n\n    def m(self): ...\n\n    class E:\n        z = 1\n"
    )
    expected = {"ONE": 1, "TWO": 2, "f": 7, "C": 11, "C.y": 12, "C.m": 14, "C.E.z": 17}
    assert {name: line_of(file, name) for name in expected} == expected
    for name in ("x", "m", "y", "f.x", "D"):
        with pytest.raises(LookupError, match="has no"):
            line_of(file, name)


def test_links_on_the_site():
    page = ROOT / "docs" / "howto" / "layers.md"
    cases = {
        "https://example.org/a#b": "https://example.org/a#b",
        "#here": "#here",
        "../speed.md#beside-other-engines": "/speed.md#beside-other-engines",
        "../pictures/kernels.png": "/pictures/kernels.png",
        "../../tinyalex/layers/conv.py#im2col": "source:/tinyalex/layers/conv.py#im2col",
        "../../tinyalex/layers": "source:/tinyalex/layers",
        "../conf.py": "source:/docs/conf.py",
        "../../notebooks/02_a.ipynb#b": "source:/notebooks/02_a.ipynb#b",
        "../../Makefile": "source:/Makefile",
    }
    assert {target: site_link(target, page) for target in cases} == cases
    assert (
        on_site("![a](../x.png) and [`b`](../../README.md) [c]", page)
        == "![a](/x.png) and [`b`](source:/README.md) [c]"
    )
