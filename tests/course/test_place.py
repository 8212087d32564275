"""Where a student's code runs, and what is out of its reach there."""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course.test_execute import marked, run
from tinyalex.course.judging import judge
from tinyalex.course.marking import execute
from tinyalex.course.marking import place as places
from tinyalex.course.marking.place import place
from tinyalex.errors import UsageError

OTHER = "nobody"  # a user of every Unix machine


def unable(**settings):
    """Why students' code cannot run so on this machine; "" if it can."""
    try:
        with place(**settings) as one:
            one.check([])
    except UsageError as error:
        return str(error)
    return ""


WAYS = {"bubblewrap": {"bubblewrap": True}, "another user": {"user": OTHER}}


@pytest.fixture(params=WAYS)
def way(request):
    reason = unable(**WAYS[request.param])
    if reason:
        pytest.skip(reason)
    return WAYS[request.param]


@pytest.fixture
def secrets(tmp_path):
    """A file that students should not see, as of another hand-in."""
    path = tmp_path / "hand-ins" / "other.txt"
    path.parent.mkdir()
    path.write_text("42")
    path.parent.chmod(0o700)
    return path


def test_the_folder_holds_the_student_s_files_only_and_goes(tmp_path):
    (tmp_path / "net.npz").write_bytes(b"1")
    with place([tmp_path / "net.npz"]) as one:
        assert [*one.work.iterdir()] == [one.work / "net.npz"]
        assert [*one.work.parent.iterdir()] == [one.work]
        (one.work / "large").write_text("2")
    assert not one.folder.exists()


def test_a_notebook_sees_nothing_of_the_course_beside_it(monkeypatch):
    monkeypatch.setenv("SECRET", "42")
    said = run(
        "import os\nassert os.listdir() == []",
        "assert sorted(os.listdir('..'))[-1] == 'work', os.listdir('..')",
        "assert not [path for path in os.listdir('..') if path.endswith('.ipynb') or path.endswith('.db')]",
        "assert 'SECRET' not in os.environ",
        "assert os.path.expanduser('~') == os.getcwd()",
        "open('mine.txt', 'w').write('1')",
        "assert os.environ['OMP_NUM_THREADS'] == os.environ['TINYALEX_THREADS'] == '1'",
    )
    assert said == [""] * 7


def test_another_user_or_a_sandbox_cannot_read_other_files_and_marks_the_same(way, secrets):
    said = run(
        "import numpy as np, tinyalex, os\nassert tinyalex.ReLU().forward(np.ones((1, 1), np.float32)).sum() == 1",
        f"open({str(secrets)!r}).read()",
        f"os.listdir({str(secrets.parent)!r})",
        f"open({str(Path(tinyalex_file()).parent / 'errors.py')!r}, 'a').write('# mine')",
        "open('mine.txt', 'w').write('1')\nassert os.listdir() == ['mine.txt'] or '.ipython' in os.listdir()",
        "import glob\nassert not [p for p in glob.glob('/proc/[0-9]*/cwd') if os.access(p + '/work', os.R_OK)]",
        "x = 1 / 0",
        f"open('/proc/{os.getpid()}/mem', 'rb').read(1)",
        f"import os\nos.kill({os.getpid()}, 0)",
        **way,
    )
    assert [said[0], *said[4:7]] == ["", "", "", "division by zero"]
    refused = ("Permission denied", "No such file", "Read-only", "not permitted", "No such process")
    for one in (*said[1:4], *said[7:]):
        assert any(words in one for words in refused), one
    assert "# mine" not in Path(tinyalex_file()).with_name("errors.py").read_text()


def tinyalex_file():
    import tinyalex

    return tinyalex.__file__


def test_tests_reach_the_student_s_process_and_nobody_else_reaches_theirs(way, monkeypatch):
    """Who calls first and says nothing holds up the tests of another hand-in."""
    called, make = [], judge.line

    @contextlib.contextmanager
    def line(seconds, path):
        with make(seconds, path) as one:
            yield one
            called.append((path.stat().st_uid, path.stat().st_mode & 0o777))

    monkeypatch.setattr(execute, "line", line)
    cell = new_code_cell("assert f(1) == 2", metadata={"nbgrader": {"grade": True, "locked": True, "grade_id": "f-it"}})
    notebook = new_notebook(cells=[new_code_cell("def f(x):\n    return 2 * x"), cell])
    execute.MarkingExecute(timeout=20, **way).preprocess(notebook, {})
    assert cell.outputs == []
    import pwd

    owner = pwd.getpwnam(way["user"]).pw_uid if "user" in way else os.getuid()
    assert called == [(owner, 0o600)]


def test_a_sandbox_has_no_network():
    reason = unable(bubblewrap=True)
    if reason:
        pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)"
        assert run(words) == [""]
        assert "Connection refused" in run(words, bubblewrap=True)[0]


def test_a_loop_is_stopped_and_a_killed_kernel_replaced(way):
    cells = marked("y = 2", "while True: pass", "import os\nos._exit(1)", "assert y == 2", timeout=2, **way)
    assert [outputs and outputs[-1].ename for outputs in cells] == [[], "CellTimeoutError", "CellTimeoutError", []]


def test_what_can_be_read_is_named(way, tmp_path):
    tmp_path.chmod(0o755)
    with place(**way) as one, pytest.raises(UsageError, match="can read /usr: expected no access"):
        one.check([Path("/usr"), tmp_path / "nowhere"])


def test_a_long_path_to_temporary_folders_is_no_hindrance(tmp_path, monkeypatch):
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert run("x = 1") == [""]


# ---------------------------------------------------------------- what a lecturer can get wrong


def test_without_bubblewrap_or_root_one_line_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "expected the program bwrap; install the package" in unable(bubblewrap=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "got --as-user nobody: expected to run as root" in unable(user=OTHER)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root may become another user")
def test_the_user_must_exist_and_have_no_rights():
    assert "expected a user of this machine" in unable(user="nobody-of-this-name")
    assert "expected a user without rights" in unable(user="root")


def test_a_python_that_does_not_start_is_told(monkeypatch):
    with place() as one:
        monkeypatch.setattr(places.Place, "command", [sys.executable, "-c", "raise OSError('no home')", "--"])
        with pytest.raises(UsageError, match="OSError: no home; install Python"):
            one.check([])
        monkeypatch.setattr(places.Place, "command", [sys.executable, "-c", "import os; os._exit(3)", "--"])
        with pytest.raises(UsageError, match="exit code 3; install Python"):
            one.check([])
