"""The pages of the experiments: they are what the stored results say."""

import re
from dataclasses import replace

import pytest

from site_tools import experiments as pages
from tinyalex.experiments.catalogue import EXPERIMENTS


@pytest.fixture(scope="module")
def answers():
    """The stored results, read once."""
    return [(experiment, pages.outcomes(experiment)) for experiment in EXPERIMENTS.values()]


def test_the_pages_are_those_of_the_stored_results(answers):
    """Where this fails: make experiment-pages."""
    for experiment, runs in answers:
        assert (pages.FOLDER / f"{experiment.name}.md").read_text("utf-8") == pages.page(experiment, runs)
    text = pages.INDEX.read_text("utf-8")
    assert pages.index(text, answers) == text


def test_every_picture_of_a_page_is_there(answers):
    named = [name for one in answers for name in re.findall(r"\]\((\.\./pictures/[^)]+)\)", pages.page(*one))]
    assert len(named) > len(answers)
    for name in named:
        assert (pages.FOLDER / name).is_file(), name


def test_a_page_tells_what_came_out(make_lab, tmp_path):
    lab, experiment = make_lab(), EXPERIMENTS["kernels"]
    for task in lab.tasks([experiment], 1):
        lab.carry_out(task)
    pages.take_in(lab.store.folder, tmp_path / "results")
    lab.store.begin(replace(lab.store.setup, epochs=2))
    with pytest.raises(ValueError, match="of another set-up"):
        pages.take_in(lab.store.folder, tmp_path / "results")
    [run] = runs = pages.outcomes(experiment, tmp_path / "results")
    assert run[0] == "patterns-16"
    text = pages.page(experiment, runs)
    assert experiment.claim in text
    assert "**patterns**: `tiny` on 36 images of 16 x 16 pixels, 1 epochs unless an arm says otherwise, 5 seeds" in text
    assert "| two columns | one full column |" in text
    assert f"**{run[2].found[0].verdict}** |" in text
    pages.draw(experiment, runs, tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"kernels-patterns-16.png", "kernels-patterns-16-0.png"}
    index = pages.index(
        f"# Title\n{pages.BEGIN}as it was\n{pages.END}rest", [(experiment, runs), (EXPERIMENTS["lrn"], [])]
    )
    assert index.startswith("# Title\n")
    assert index.endswith("rest")
    assert "not run yet" in index
    assert "as it was" not in index


def test_what_is_no_folder_of_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a folder of tinyalex experiment"):
        pages.take_in(tmp_path)
    with pytest.raises(ValueError, match="expected both"):
        pages.index("# Title\n", [])
