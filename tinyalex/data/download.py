"""Files from the net, fetched when somebody asks for them: resumed after a break, and compared with a checksum.

pooch does the fetching, and comes with pip install pooch.
"""

import os
from functools import partial
from pathlib import Path

from tinyalex.errors import DataError
from tinyalex.files import at_home, make_folder, one_line

PIECE = 2**18  # bytes that are written at a time
PATIENCE = 30  # seconds without an answer
PARTIAL, NOTHING_LEFT = 206, 416  # answers of HTTP: what comes is the rest of the file; there is no rest


def in_cache(name: str) -> Path:
    """The file or folder of that name for a download: $TINYALEX_CACHE/NAME, or ~/.cache/tinyalex/NAME."""
    return at_home(os.environ.get("TINYALEX_CACHE", "~/.cache/tinyalex")) / name


def fetch(url: str, checksum: str | None, path: Path) -> Path:
    """Download the file at `url` to `path`, unless it is there already -> `path`.

    After a break the next call goes on where it was: what has come so far lies in PATH.part.
    checksum: such as "sha256:7be5..." or "md5:c58f..."; None: nobody has published one, and any content will do.
    Raises DataError if the download fails, the file is another one, or pooch is not installed.
    """
    try:
        import pooch
    except ImportError as error:
        raise DataError("got no pooch: expected it for a download; run pip install pooch") from error
    resuming = partial(_download, path.with_name(f"{path.name}.part"))
    try:
        pooch.retrieve(url, checksum, fname=path.name, path=make_folder(path.parent), downloader=resuming)
    except (OSError, ValueError) as error:  # no network; another checksum
        raise DataError(
            f"cannot download {url} ({one_line(error)}): expected a connection; try again, or download it in a browser "
            f"and put it at {path}"
        ) from error
    return path


def _download(part: Path, url: str, whole: str, _: object) -> None:
    """Append what is missing to the file `part`; when nothing is, move it to `whole`, where pooch expects the file."""
    import requests  # comes with pooch
    from tqdm import tqdm

    here = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={here}-"} if here else {})}
    with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as answer:
        if answer.status_code != NOTHING_LEFT:
            answer.raise_for_status()
            here = here if answer.status_code == PARTIAL else 0  # a server without ranges sends all of it again
            total = here + int(answer.headers.get("Content-Length", 0))
            with (
                part.open("ab" if here else "wb") as file,
                tqdm(total=total or None, initial=here, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar,
            ):
                for piece in answer.iter_content(PIECE):
                    bar.update(file.write(piece))
    part.replace(whole)
