"""A few hundred damaged files of each kind; `make fuzz` reads 100,000. And that the frame finds what it looks for."""

import random
import sys

import pytest

from fuzz import mutations, planted
from fuzz.runner import fuzz
from fuzz.targets import TARGETS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit a process")

# Damaged examinations are made anew; in a zip each damaged file gets a line, and the others are read.
NOT_REFUSED = ("examinations", "forged zips of hand-ins")


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    found = fuzz(name, 200, tmp_path)
    assert found.failures == []
    assert found.inputs == 200
    assert found.refused > 20 or name in NOT_REFUSED  # the damage is seen
    assert 0 < found.peak < 2**30


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("undeclared", "file: KeyError('what') in "),
        ("two_lines", "letters that are no line"),
        ("endless", "took too long"),
        ("crash", "ended by SIGSEGV"),
        ("greedy", "MemoryError()"),
        ("greedy_and_quiet", "asked for too much memory"),
        ("refuses_all", "are the whole files read?"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit memory")
def test_mistakes_are_found(mistake, told, tmp_path):
    found = fuzz(mistake, 1, tmp_path, first=7, seconds=1, module="fuzz.planted")
    [failure] = found.failures
    assert failure.startswith("input 7: ")
    assert told in failure
    assert (tmp_path / f"{mistake}-7" / "file").read_bytes() != planted.WHOLE or mistake == "refuses_all"


def test_it_goes_on_behind_a_failure(tmp_path):
    found = fuzz("undeclared", 3, tmp_path, module="fuzz.planted")
    assert [failure.split(":")[0] for failure in found.failures] == ["input 0", "input 1", "input 2"]
    found = fuzz("undeclared", 20, tmp_path, module="fuzz.planted", chunk=10)
    assert len(found.failures) == 6  # and gives up a chunk after three


def test_declared_errors_are_counted(tmp_path):
    found = fuzz("declared", 20, tmp_path, module="fuzz.planted", chunk=8)
    assert found.failures == []
    assert 15 < found.refused <= 20
    assert found.read + found.refused == 20  # some damage changes nothing
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mutation", mutations.MUTATIONS)
def test_mutations(mutation):
    """They change most files, take files of no bytes, and stay the same for a seed."""
    content, other = bytes(range(200)) + b'{"a": 12, "b": -3.5}', b"another file"
    changed = [mutation(content, [other], random.Random(seed)) for seed in range(50)]
    assert changed == [mutation(content, [other], random.Random(seed)) for seed in range(50)]
    assert sum(one != content for one in changed) > 30
    for seed in range(50):
        mutation(b"", [b""], random.Random(seed))
        assert len(mutations.mutated(content, [other], random.Random(seed))) <= mutations.MOST_BYTES
