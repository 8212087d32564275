"""CIFAR-10 and CIFAR-100 from their author's site."""

import shutil
import tarfile
from pathlib import Path

from tinyalex.data.cifar import CIFAR10, CIFAR100, Cifar
from tinyalex.data.download import fetch, in_cache
from tinyalex.errors import DataError
from tinyalex.files import at_home, replacing

SITE = "https://www.cs.toronto.edu/~kriz"


def download_cifar10(folder: str | Path | None = None) -> Path:
    """Download CIFAR-10 (170 MB) from its author's site into `folder`, unless it is there already -> the folder.

    folder: where the seven files go; None: `cache_folder(CIFAR10)`. The archive's MD5 sum is checked.
    Raises: DataError if the download fails, the archive is not the expected one, or pooch is not installed.
    """
    return download_cifar(CIFAR10, folder)


def download_cifar100(folder: str | Path | None = None) -> Path:
    """Download CIFAR-100 (169 MB), three files; else as `download_cifar10`."""
    return download_cifar(CIFAR100, folder)


def cache_folder(kind: Cifar) -> Path:
    """The folder for a download, such as $TINYALEX_CACHE/cifar-10-batches-py; or in ~/.cache/tinyalex."""
    return in_cache(kind.folder)


def download_cifar(kind: Cifar, folder: str | Path | None = None) -> Path:
    """The folder with the files of `kind`, downloaded if one of them is missing: see `download_cifar10`."""
    folder = cache_folder(kind) if folder is None else at_home(folder)
    if all((folder / name).is_file() for name in kind.files):
        return folder
    archive = fetch(f"{SITE}/{kind.archive}", f"md5:{kind.md5}", folder / kind.archive)
    _extract(kind, archive, folder)
    archive.unlink()
    return folder


def _extract(kind: Cifar, archive: Path, folder: Path) -> None:
    """Write the files of `kind` from the archive into `folder`, each in one piece. No other member is unpacked."""
    try:
        with tarfile.open(archive) as tar:
            members = {member.name: member for member in tar.getmembers() if member.isfile()}
            missing = [name for name in kind.files if f"{kind.folder}/{name}" not in members]
            if missing:
                raise DataError(f"got {archive} without {', '.join(missing)}: expected {kind}")
            for name in kind.files:
                content = tar.extractfile(members[f"{kind.folder}/{name}"])
                assert content is not None  # only links and folders have none
                with replacing(folder / name) as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"cannot unpack {archive} ({error}): expected {kind.title}'s archive; remove it and download it again"
        ) from error
