"""Every command and every block of Python on the site is carried out, page by page, in a folder of a few pictures.

What differs from what the page says is in the tables below; `mpiexec -n 4 tinyalex` is carried out by one process. A
block under the comment `<!-- parsed only: reason -->` needs what is not here; its options must be ones that the command
has. Under `<!-- fails: reason -->` a command must be refused, with the words of the text block that follows. A comment
`# -> ...` behind a print tells what it prints.
"""

import contextlib
import importlib.util
import io
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from cifar_files import NAMES, as_file, batch, rows_of
from devkit_files import RECORDS, ilsvrc
from pages import PAGES, ROOT, blocks
from runs import carried_out, pixels, slim
from tinyalex import spec
from tinyalex.cli import build_parser
from tinyalex.training import report

CLASSES = ("cat", "dog", "bird")

# What is added to a command, whose last options win: a few pictures, once.
ADDED = {
    "train": "--epochs 1 --limit 18 --batch 6",
    "train --resume": "--epochs 2",
    "bench": "--batch 2 --steps 1",
}
# Nets keep all their layers, but have 8 kernels or units in each.
SLIM = ("paper", "mini", "cuda-convnet")


def write_pictures(root):
    """root/cat/1.jpg, ...: pictures of 40 x 50 pixels."""
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for index, image in enumerate(pixels(60, 50, 3, 0)[0][number::3], start=1):
            Image.fromarray(image[:40]).save(root / name / f"{index}.jpg")


def write_ilsvrc(root):
    """ILSVRC-2012 as it is distributed, with pictures of two classes: 16 each to train on, 8 each to validate."""
    jpegs = []
    for image in pixels(48, 50, 2, 0)[0]:
        Image.fromarray(image[:40]).save(file := io.BytesIO(), "JPEG")
        jpegs.append(file.getvalue())
    wnids = [wnid for _, wnid, _ in RECORDS[:2]]
    ilsvrc(root, {wnid: jpegs[k:32:2] for k, wnid in enumerate(wnids)}, [(1 + k % 2, jpegs[k]) for k in range(32, 48)])


def write_cifar(folder):
    """CIFAR-10's files, with 40 pictures to train and 20 to test."""
    folder.mkdir(parents=True)
    for name, count in (("data_batch_1", 40), ("test_batch", 20)):
        (folder / name).write_bytes(as_file(batch(rows_of(count, count), [i % 10 for i in range(count)])))
    (folder / "batches.meta").write_bytes(as_file({b"label_names": NAMES}))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder that the pages' commands are carried out in."""
    for name in ("photos", "imagenette-224", "DIR"):
        write_pictures(tmp_path / name)
    write_ilsvrc(tmp_path / "imagenet")
    write_cifar(tmp_path / "cache" / "cifar-10-batches-py")
    write_cifar(tmp_path / "cifar-10-batches-py")
    for name in SLIM:
        monkeypatch.setitem(spec.VARIANTS, name, slim(spec.VARIANTS[name]))
    monkeypatch.setattr(report, "draw_pictures", lambda *_: [])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [path.stem for path in tmp_path.glob("*.py")]:  # what a page imports of its own is forgotten again
        sys.modules.pop(name, None)


def tinyalex(words):
    """The words of a command after `tinyalex`, or None if it is another program's."""
    words = [word.removeprefix(".venv/bin/") for word in words]  # where sudo needs the place
    return words[words.index("tinyalex") + 1 :] if "tinyalex" in words else None


def check_other(words):
    """A command that is not ours: what it names must be there."""
    match words:
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text()
            for name in targets:  # or a variable, as in SUBMISSIONS=hand-ins
                known = rf"\$\({name.partition('=')[0]}\)" if "=" in name else rf"^{name}:"
                assert re.search(known, makefile, re.MULTILINE), words
        case ["pip", "install", *what]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(re.findall(r"tinyalex\[(\w+)\]", " ".join(what))) <= set(extras), words
        case ["python", "-m", module, *_]:  # a measurement that takes minutes
            assert importlib.util.find_spec(module), words
        case [".venv/bin/pre-commit", "install"]:
            assert (ROOT / ".pre-commit-config.yaml").is_file()
        case _:
            pytest.fail(f"no test knows the command {' '.join(words)}")


def run_commands(block, answer, capsys):
    for words in block.commands():
        ours = tinyalex(words)
        if ours is None:
            check_other(words)
            continue
        build_parser().parse_args(ours)  # as it stands on the page
        if block.note[0] == "parsed only":
            continue
        key = "train --resume" if "--resume" in ours else ours[0]
        code, _, err = carried_out(capsys, " ".join([*ours, ADDED.get(key, "")]))
        if block.note[0] == "fails":
            assert (code, err.strip()) == (2, answer.strip())
        else:
            assert code == 0, f"line {block.line}: {err}"


def run_python(block, page, names):
    """Carry out a block in the page's namespace; what it prints must be what it says that it prints."""
    source = block.text
    if named := re.match(r"# (\w+\.py)\n", source):
        Path(named[1]).write_text(source)
    printed = io.StringIO()
    code = compile("\n" * block.line + source, str(page), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    promised = re.findall(r"# -> (.+)$", source, re.MULTILINE)
    lines = iter(printed.getvalue().splitlines())
    assert all(promise in lines for promise in promised), f"{promised} is not what it prints: {printed.getvalue()}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.usefixtures("here")
def test_what_a_page_says_to_do_can_be_done(page, capsys):
    names, found = {"__name__": page.stem}, blocks(page)
    for number, block in enumerate(found):
        if block.kind == "commands":
            if page.name == "README.md":  # its commands are on the pages too
                block = replace(block, note=("parsed only", "on the pages"))
            answer = found[number + 1].text if number + 1 < len(found) else ""
            run_commands(block, answer, capsys)
        elif block.kind == "diff" or page.name == "design.md" or page.parent.name == "answers":
            continue  # a recipe, or an answer: tests/docs/test_recipes.py and tests/notebooks carry them out
        elif block.kind == "python":
            run_python(block, page, names)
        else:
            assert block.kind == "text", f"line {block.line}: a block of {block.kind}"
