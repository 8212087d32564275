"""Where a student's code runs: a temporary folder, and by choice another user or a sandbox.

bubblewrap: https://github.com/containers/bubblewrap
"""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tinyalex
from tinyalex.errors import UsageError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache")
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT", "COMSPEC", "PATHEXT")
SETTINGS = {
    # A student's `!pip install`, which is right on Colab, would change the packages that everybody is marked with.
    "PIP_DRY_RUN": "1",
    "PIP_NO_INDEX": "1",
    # The same numbers and the same time, however many notebooks run beside this one.
    "TINYALEX_ALGORITHMS": "rule",
    "TINYALEX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
LONGEST = 60  # characters of the path of a temporary folder: the path of a socket in it may have 104 on macOS
PACKAGE = Path(tinyalex.__file__).parent
LOOK = """
import os, sys, ipykernel, tinyalex
print(*(path for path in sys.argv[1:] if os.access(path, os.R_OK) or os.path.isdir(path) and os.access(path, os.X_OK)))
"""


@dataclass(frozen=True)
class Place:
    """A temporary folder for one notebook.

    folder: holds `work`, the kernel's current folder and home, and what the kernel may read but not change.
    user:   whom the kernel runs as; "" for the user of this process.   bubblewrap: whether it runs in a sandbox.
    """

    folder: Path
    user: str = ""
    bubblewrap: bool = False

    @property
    def work(self) -> Path:
        """The kernel's own folder."""
        return self.folder / "work"

    @property
    def command(self) -> list[str]:
        """The words that start Python here, before its arguments."""
        return [*(self._sandbox() if self.bubblewrap else []), sys.executable]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the kernel: nothing that tells of the course."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        work = str(self.work)
        package = self.folder / "package" if self._secluded else PACKAGE.parent
        paths = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {"HOME": work, "TMPDIR": work, "IPYTHONDIR": f"{work}/.ipython", "PYTHONPATH": paths}
        return {**kept, **SETTINGS, **own}

    @property
    def _secluded(self) -> bool:
        return bool(self.user or self.bubblewrap)

    def furnish(self, files: Iterable[Path] = ()) -> None:
        """Copy the files into the kernel's folder, and give it to the kernel's user."""
        self.work.mkdir(mode=0o700)
        for file in files:
            shutil.copyfile(file, self.work / file.name)
        if self._secluded:  # with the compiled code beside it, which another user could neither write nor use elsewhere
            shutil.copytree(PACKAGE, self.folder / "package" / PACKAGE.name, symlinks=True)
            self.give(self.folder / "package")
        self.folder.chmod(0o711)
        self.give(self.work)

    def give(self, path: Path) -> None:
        """Make the kernel's user the owner of a file or folder."""
        if self.user:
            for one in (path, *path.rglob("*")):
                shutil.chown(one, self.user, _group(self.user))

    def enter(self) -> None:
        """Become the kernel's user, in the process that will be the kernel."""
        if self.user and sys.platform != "win32":
            os.initgroups(self.user, _group(self.user))
            os.setgid(_group(self.user))
            os.setuid(_number(self.user))

    def check(self, closed: Iterable[Path]) -> None:
        """Raise UsageError if Python does not start here, or can read one of these files and folders."""
        words = [*self.command, "-c", LOOK, *(str(path.resolve()) for path in closed)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, cwd=self.work, env=self.environment, preexec_fn=self.enter
            )
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            reason = said[-1:] if done.returncode else []
        except (PermissionError, subprocess.SubprocessError) as error:
            reason = [str(error)]
        if reason:
            raise UsageError(
                f"got {self._named}, which cannot start {sys.executable}: {reason[0]}; install Python and this package "
                "where every user can read them"
            )
        if done.stdout.strip():
            raise UsageError(
                f"got {self._named}, where a student's code can read {done.stdout.strip()}: expected no access; "
                f"take it away, as by chmod o-rwx, or use another user"
            )

    @property
    def _named(self) -> str:
        return " ".join(["--sandbox bubblewrap"] * self.bubblewrap + [f"--as-user {self.user}"] * bool(self.user))

    def _sandbox(self) -> list[str]:
        """bubblewrap's words: no network, no other processes, Python and the system to read.

        `work` can be written, and `package`, where Numba puts its compiled code.
        """
        words = ["bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--unsetenv", "JPY_PARENT_PID"]
        words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        for path in SYSTEM:
            words += ["--ro-bind-try", path, path]
        for path in sorted(_python_folders()):
            words += ["--ro-bind", path, path]
        words += ["--ro-bind", str(self.folder), str(self.folder)]
        for own in (self.work, self.folder / "package"):
            words += ["--bind", str(own), str(own)]
        return [*words, "--chdir", str(self.work), "--"]


@contextlib.contextmanager
def temporary_folder(inside: str = "") -> Iterator[Path]:
    """A folder that exists within the block. inside: the folder to make it in; "": the system's for temporary ones."""
    beside = tempfile.gettempdir()
    if len(beside) > LONGEST and sys.platform != "win32":
        beside = "/tmp"
    prefix = "" if inside else "tinyalex-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=inside or beside, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


@contextlib.contextmanager
def place(files: Iterable[Path] = (), user: str = "", bubblewrap: bool = False, inside: str = "") -> Iterator[Place]:
    """A folder that exists within the block.

    files: the student's data files.   user, bubblewrap: as in Place.   inside: the folder to make it in.
    Raises UsageError if this process cannot become another user, or if bubblewrap is not installed.
    """
    _check(user, bubblewrap)
    with temporary_folder(inside) as folder:
        one = Place(folder, user, bubblewrap)
        one.furnish(files)
        yield one


def _check(user: str, bubblewrap: bool) -> None:
    if bubblewrap and not shutil.which("bwrap"):
        raise UsageError(
            "got --sandbox bubblewrap, which is not installed: expected the program bwrap; install the package "
            "bubblewrap (Linux only), or leave the option out"
        )
    if user and (sys.platform == "win32" or os.geteuid() != 0):
        raise UsageError(f"got --as-user {user}: expected to run as root, who can become another user; use sudo")
    if user and _number(user) == 0:
        raise UsageError(f"got --as-user {user}, who is root: expected a user without rights")


def _number(user: str) -> int:
    """The number of a user. Raises UsageError if there is no such user."""
    import pwd

    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"got --as-user {user}: expected a user of this machine; create one with useradd") from None


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _python_folders() -> set[str]:
    """The folders that Python and its libraries lie in, outside of the system's."""
    folders = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return {folder for folder in folders if not folder.startswith("/usr/")}
