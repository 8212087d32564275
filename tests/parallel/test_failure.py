"""What a rank says of an error before it ends all ranks."""

import types

import pytest

from tinyalex.parallel import failure


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError("Unable to allocate 9 TiB"), "Unable to allocate 9 TiB; use fewer images a step (--batch)"),
        (MemoryError(), "MemoryError; use fewer images a step (--batch)"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_only_an_error_of_memory_gets_advice_on_memory(error, told, monkeypatch, capsys):
    ended = []
    ranks = types.SimpleNamespace(rank=0, size=2, threads=1, abort=lambda: ended.append(True))
    monkeypatch.setattr(failure, "all_ranks", lambda: ranks)
    monkeypatch.setattr(failure, "OUTPUT_TIME", 0)
    with pytest.raises(type(error)), failure.ranks_at_work():
        raise error
    assert capsys.readouterr().err.splitlines()[-1] == f"tinyalex: rank 0 of 2: {told}"
    assert ended == [True]
