"""The pages of the experiments: they are what the stored results say."""

import re
import shutil
from dataclasses import replace

import pytest

from site_tools import experiments as pages
from tinyalex.experiments.catalogue import EXPERIMENTS
from tinyalex.experiments.store import Store


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
    assert f"**Varied.** {experiment.varies}" in text
    assert "| by column | by chance |" in text
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


def test_results_of_several_folders_come_together(make_lab, tmp_path):
    """Each process that runs experiments has a folder of its own. What is kept is never lost to a part of it."""
    lab, results = make_lab(), tmp_path / "results"
    tasks = [lab.tasks([EXPERIMENTS[name]], 1) for name in ("lrn", "weight-decay")]
    for task in tasks[0]:
        lab.carry_out(task)
    part = Store(shutil.copytree(lab.store.folder, tmp_path / "part"))
    for task in tasks[1]:
        lab.carry_out(task)
    for folder in (lab.store.folder, part.folder):
        pages.take_in(folder, results)
    kept = Store(results / "patterns-16")
    assert (kept.runs, kept.measured) == (lab.store.runs, lab.store.measured)
    assert len(kept.runs) > len(part.runs)
    lab.store.runs.clear()
    pages.take_in(lab.store.folder, results)
    assert Store(kept.folder).runs == kept.runs


def test_a_search_is_told_with_all_its_rates(answers):
    (_, [run]) = next(one for one in answers if one[0].name == "relu-vs-tanh")
    (_, table) = pages._search(run[2])
    assert table.startswith("| arm | rate 0.006 | rate 0.012 | rate 0.025 | rate 0.05 |\n")
    for arm in run[2].arms.values():
        assert min(arm.searched, key=arm.searched.get) == arm.trial.settings.lr
    assert not pages._search(answers[1][1][0][2])


def test_what_is_no_folder_of_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a folder of tinyalex experiment"):
        pages.take_in(tmp_path)
    with pytest.raises(ValueError, match="expected both"):
        pages.index("# Title\n", [])
