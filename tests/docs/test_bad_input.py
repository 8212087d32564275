"""docs/bad-input.md says what the commands print today."""

import os

import pytest

if os.name == "nt":
    pytest.skip("Windows has no named pipes, links and limits as these", allow_module_level=True)

import bad_input


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    bad_input.make_place(place)
    return place


@pytest.mark.parametrize("case", bad_input.CASES, ids=lambda case: case.what)
def test_it_prints_what_the_page_says(case, place, tmp_path):
    code, lines = bad_input.carried_out(case, place, tmp_path / "case")
    assert bad_input.row(case, code, lines) in bad_input.page()[1].splitlines(), "make bad-input writes the page again"
    assert "Traceback" not in "".join(lines)
    assert not (tmp_path / "case" / "harmed").exists()


def test_the_page_has_no_other_rows():
    rows = [line for line in bad_input.page()[1].splitlines() if line.startswith("| ") and "exit code" not in line]
    assert len(rows) == len(bad_input.CASES)
