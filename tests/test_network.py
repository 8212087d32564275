"""No command uses the network unless its words say so: prepare cifar10 and cifar100, weights --fetch."""

import json
import re
import subprocess
import sys
from pathlib import Path

import tinyalex
from runs import write_folder

PACKAGE = Path(tinyalex.__file__).parent
LIBRARIES = re.compile(
    r"^\s*(?:import|from) (aiohttp|ftplib|http|httpx|pooch|requests|smtplib|socket|urllib(?!\.parse))\b", re.MULTILINE
)

# Python tells this hook before it connects or looks up a name. It is told of all threads, and cannot be taken away.
OFFLINE = """
import json, sys
from unittest.mock import patch
used = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        used.append(event)
        raise OSError("no network")
sys.addaudithook(hook)
from tinyalex import cli
codes = []
with patch("tinyalex.training.report.draw_pictures", lambda *_: []):
    for command in json.loads(sys.argv[1]):
        try:
            codes.append(cli.main(command.split()))
        except SystemExit as left:
            codes.append(left.code)
print(json.dumps([codes, used]), file=sys.stderr)
"""
QUIET = (
    "summary",
    "prepare photos set --size 36 --workers 1",
    "train --data set --variant mini --batch 16 --epochs 1 --out run",
    "eval run",
    "predict photos/val/class0/0.png --checkpoint run",
    "weights",
)


def offline(folder, *commands):
    """(exit codes of the commands, what they wanted of the network), in a process that cannot use it."""
    process = subprocess.run(
        [sys.executable, "-c", OFFLINE, json.dumps(commands)], cwd=folder, capture_output=True, text=True, timeout=120
    )
    return json.loads(process.stderr.splitlines()[-1])


def test_commands_do_without(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path / "cache"))
    write_folder(tmp_path / "photos", train=24, val=8, size=40, classes=2)
    codes, used = offline(tmp_path, *QUIET)
    assert used == []
    assert not any(codes), codes


def test_what_says_so_is_refused_in_one_line_without(tmp_path, monkeypatch):
    """And so the test above would notice."""
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path / "cache"))
    for command in ("prepare cifar10", "weights --fetch torchvision"):
        codes, used = offline(tmp_path, command)
        assert codes == [2]
        assert used


def test_one_module_fetches():
    """The judge of the coursework and a student's process talk to each other, on this machine."""
    files = {path.name: path.read_text() for path in PACKAGE.rglob("*.py") if LIBRARIES.search(path.read_text())}
    assert files.keys() == {"download.py", "judge.py", "serve.py", "wire.py"}
    for name in ("judge.py", "serve.py"):
        assert re.findall(r"create_(?:connection|server)\(\((\S+),", files[name]) == ['"127.0.0.1"']
        assert re.findall(r"socket\.socket\((\S*)\)", files[name]) == ["socket.AF_UNIX"]
