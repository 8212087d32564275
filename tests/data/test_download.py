"""Downloads from a server on this machine: one with ranges, one without, one that breaks off."""

from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tinyalex.data.download import PIECE, fetch, in_cache
from tinyalex.errors import DataError

CONTENT = bytes(range(256)) * 4000  # more than one piece
CHECKSUM = f"sha256:{sha256(CONTENT).hexdigest()}"
pytest.importorskip("pooch")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if self.path != "/file":
            self.send_error(404)
            return
        first = 0
        if server.ranges and (asked := self.headers.get("Range")):
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            if first >= len(CONTENT):
                self.send_error(416)
                return
        rest = CONTENT[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: server.breaks_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """asked: the ranges asked for.   ranges: whether it knows them.   breaks_after: the bytes of an answer, at most."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.ranges, server.breaks_after = [], True, None
    server.url = f"http://127.0.0.1:{server.server_port}/file"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_comes_once(server, tmp_path):
    path = tmp_path / "new" / "file"
    for _ in range(2):
        assert fetch(server.url, CHECKSUM, path) == path
        assert path.read_bytes() == CONTENT
    assert server.asked == [None]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("ranges", [True, False])
def test_after_a_break_it_goes_on(server, tmp_path, ranges):
    server.ranges, server.breaks_after = ranges, 300_000
    path = tmp_path / "file"
    with pytest.raises(DataError, match=rf"cannot download {server.url} .*; try again, .* put it at {path}"):
        fetch(server.url, CHECKSUM, path)
    assert not path.exists()
    server.breaks_after = None
    fetch(server.url, CHECKSUM, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={PIECE}-"]  # the piece that broke off comes again


def test_all_came_but_was_not_checked(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(server.url, CHECKSUM, tmp_path / "file").read_bytes() == CONTENT


def test_a_damaged_part_is_not_kept(server, tmp_path):
    path = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="hash"):
        fetch(server.url, CHECKSUM, path)
    assert list(tmp_path.iterdir()) == []
    assert fetch(server.url, CHECKSUM, path).read_bytes() == CONTENT


def test_another_file_is_refused(server, tmp_path):
    with pytest.raises(DataError, match="hash"):
        fetch(server.url, f"sha256:{'0' * 64}", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_not_there(server, tmp_path):
    with pytest.raises(DataError, match="404"):
        fetch(f"{server.url}s", None, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_no_server(tmp_path):
    with pytest.raises(DataError, match=r"cannot download .* put it at .*file$"):
        fetch("http://127.0.0.1:1/file", None, tmp_path / "file")


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path))
    assert in_cache("weights") == tmp_path / "weights"
    monkeypatch.delenv("TINYALEX_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert in_cache("weights") == tmp_path / ".cache" / "tinyalex" / "weights"
