"""The choice of an algorithm: by rule, or by a trial whose outcome is kept in a file."""

import json
from itertools import count

import pytest

from tinyalex.backend.cpu import choice
from tinyalex.errors import UsageError


@pytest.fixture(autouse=True)
def file(monkeypatch, tmp_path):
    """Trials are allowed; their file is a new one, and the large array that is read between them is small."""
    monkeypatch.setenv(choice.SETTING, "measured")
    monkeypatch.setattr(choice, "FLUSH", 8)
    monkeypatch.setattr(choice, "code_folder", lambda: str(tmp_path))
    choice.chosen.cache_clear()
    yield tmp_path / "algorithms.json"
    choice.chosen.cache_clear()


class Algorithms:
    """Calls that take as long as `seconds` says, by a clock of their own."""

    def __init__(self, monkeypatch, **seconds):
        self.now, self.calls = 0.0, 0
        monkeypatch.setattr(choice.time, "perf_counter", lambda: self.now)
        self.algorithms = {name: lambda each=each: self.take(each) for name, each in seconds.items()}

    def take(self, seconds):
        self.calls += 1
        self.now += next(seconds) if hasattr(seconds, "__next__") else seconds


def test_the_fastest_is_chosen_and_kept(monkeypatch, file):
    found = Algorithms(monkeypatch, direct=3.0, first=1.0, second=2.0)
    assert choice.choose("a layer", "direct", found.algorithms) == "first"
    tried = found.calls
    assert tried == 3 * (choice.TRIES + 1)
    assert choice.choose("a layer", "direct", found.algorithms) == "first"
    choice.chosen.cache_clear()  # as in the next process
    assert choice.choose("a layer", "second", found.algorithms) == "first"
    assert found.calls == tried
    choice.choose("another layer", "direct", found.algorithms)
    assert found.calls == 2 * tried
    assert json.loads(file.read_text())["chosen"] == {"a layer": "first", "another layer": "first"}


def test_the_rule_holds_unless_another_is_clearly_faster(monkeypatch):
    found = Algorithms(monkeypatch, direct=1.0, other=0.95)
    assert choice.choose("a layer", "direct", found.algorithms) == "direct"
    assert choice.choose("another layer", "other", found.algorithms) == "other"


def test_the_shortest_time_counts(monkeypatch):
    """Other programs disturbed most of the tries."""
    disturbed = (1.0 if call == 3 else 9.0 for call in count())
    found = Algorithms(monkeypatch, direct=2.0, other=disturbed)
    assert choice.choose("a layer", "direct", found.algorithms) == "other"


def test_no_trial_by_rule_or_of_a_single_algorithm(monkeypatch, file):
    found = Algorithms(monkeypatch, direct=3.0, other=1.0)
    assert choice.choose("a layer", "direct", {"direct": found.algorithms["direct"]}) == "direct"
    monkeypatch.setenv(choice.SETTING, "rule")
    assert choice.choose("a layer", "direct", found.algorithms) == "direct"
    assert found.calls == 0
    assert not file.exists()


def test_another_word(monkeypatch):
    monkeypatch.setenv(choice.SETTING, "fast")
    with pytest.raises(UsageError, match="TINYALEX_ALGORITHMS='fast': expected rule or measured"):
        choice.choose("a layer", "direct", {})


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        '{"machine": "another", "chosen": {"a layer": "direct"}}',
        '{"machine": "mine", "chosen": {"a layer": "an old one"}}',
        '{"machine": "mine"}',
    ],
)
def test_a_file_that_does_not_help_is_replaced(monkeypatch, file, content):
    monkeypatch.setattr(choice, "machine", lambda: "mine")
    file.write_text(content)
    found = Algorithms(monkeypatch, direct=3.0, other=1.0)
    assert choice.choose("a layer", "direct", found.algorithms) == "other"
    assert json.loads(file.read_text()) == {"machine": "mine", "chosen": {"a layer": "other"}}


def test_without_a_folder_the_process_remembers(monkeypatch):
    monkeypatch.setattr(choice, "code_folder", lambda: None)
    found = Algorithms(monkeypatch, direct=3.0, other=1.0)
    for _ in range(2):
        assert choice.choose("a layer", "direct", found.algorithms) == "other"
    assert found.calls == 2 * (choice.TRIES + 1)
