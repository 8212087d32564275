"""Zips that are broken or hostile: each gets a line, and nothing is written outside the folder for it."""

import io
import random
import struct
import zipfile
from contextlib import suppress
from pathlib import PurePosixPath

import pytest

from course.zips import link, zipped
from tinyalex.course.handed_in import unpack
from tinyalex.course.handed_in.unpack import listing
from tinyalex.errors import UsageError


@pytest.fixture
def read(tmp_path):
    """The listing of a zip, which must write into its own folder only: places -> content, places -> reasons."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out" / "scratch").mkdir(parents=True)

    def of(content):
        (tmp_path / "in" / "all.zip").write_bytes(content if isinstance(content, bytes) else zipped(content))
        found = listing(tmp_path / "in" / "all.zip", tmp_path / "out" / "scratch")
        assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"scratch"}
        assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
        return {str(one.where): one.path.read_bytes() for one in found.files}, {str(at): why for at, why in found.aside}

    return of


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.ipynb",
        "/evil.ipynb",
        "a/../../../evil.ipynb",
        "C:/evil.ipynb",
        "..\\..\\evil.ipynb",
        "C:evil.txt",
        "",
    ],
)
def test_a_path_that_leads_out_is_not_unpacked(name, read):
    files, aside = read({"anna/good.ipynb": b"{}", name: b"bad"})
    assert files == {"anna/good.ipynb": b"{}"}
    assert list(aside.values()) == ["a path that leaves its folder"]


def test_a_link_is_not_followed(read, tmp_path):
    files, aside = read({"anna/x.zip": link("net.npz", "/etc/passwd")})
    assert (files, aside) == ({}, {"anna/x.zip/net.npz": "a link, which is not followed"})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "net.npz").symlink_to("/etc/passwd")
    found = listing(tmp_path / "folder", tmp_path)
    assert (found.files, found.aside) == ([], [(PurePosixPath("net.npz"), "a link, which is not followed")])


@pytest.mark.parametrize("name", ["con\n.txt", "x" * 200 + ".npz", "ab:c.txt"])
def test_data_whose_name_not_every_disk_takes_is_told(name, read):
    files, aside = read({name: b"x"})
    assert (files, list(aside.values())) == ({}, ["a name that not every disk takes: rename it"])


@pytest.mark.parametrize("name", ["Übung 1 – final", "work [final] #2!", "x" * 200, "a:b;<c>", "con\n"])
def test_a_notebook_or_a_zip_may_have_any_name(name, read):
    files, aside = read({f"anna/{name}.ipynb": b"{}", f"bert/{name}.zip": {f"{name}/a.ipynb": b"[]"}})
    assert (files, aside) == ({f"anna/{name}.ipynb": b"{}", f"bert/{name}.zip/a.ipynb": b"[]"}, {})


def test_what_grows_is_stopped_at_the_limit(read, monkeypatch):
    monkeypatch.setattr(unpack, "LARGEST", 1 << 20)
    monkeypatch.setattr(unpack, "LARGEST_ZIP", 3 << 20)
    bomb = {f"{i}.npz": bytes(900_000) for i in range(20)} | {"huge.npz": bytes(5 << 20)}
    files, aside = read({"anna/bomb.zip": bomb, "bert/good.ipynb": b"{}"})
    assert "bert/good.ipynb" in files
    assert sum(map(len, files.values())) <= 3 << 20
    assert len(files) + len(aside) == 22
    assert set(aside.values()) == {"more than 1 MB, or its zip more than 3 MB"}


def test_unpacking_ends_soon_after_the_limit(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"a.npz": bytes(9 << 20)}))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        size = unpack._unpacked(archive, archive.infolist()[0], tmp_path / "a.npz", 1 << 20)
    assert 1 << 20 < size == (tmp_path / "a.npz").stat().st_size < 2 << 20


def test_a_size_that_lies_is_no_help(read, monkeypatch):
    """The headers say 10 bytes; a megabyte comes."""
    monkeypatch.setattr(unpack, "LARGEST", 1 << 16)
    packed = bytearray(zipped({"a.npz": bytes(1 << 20)}))
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", packed, packed.index(signature) + place, 10)
    files, aside = read(bytes(packed))
    assert all(len(content) <= 1 << 16 for content in files.values())
    assert len(files) + len(aside) == 1


def test_zips_in_zips_end(read):
    nested = {"x.ipynb": b"{}"}
    for _ in range(5):
        nested = {"in.zip": nested}
    assert read(nested) == ({}, {"/".join(["in.zip"] * 4): "more than 3 zips within each other"})


def test_zips_in_a_zip_share_its_limits(read, monkeypatch):
    monkeypatch.setattr(unpack, "LARGEST_ZIP", 3 << 20)
    monkeypatch.setattr(unpack, "MOST_FILES", 10)
    big = {f"{i}.zip": {"a.npz": bytes(1 << 20)} for i in range(4)}
    files, aside = read({"anna/big.zip": big, "bert/good.zip": {"a.npz": bytes(2 << 20)}})
    assert set(files) == {f"anna/big.zip/{i}.zip/a.npz" for i in range(2)} | {"bert/good.zip/a.npz"}
    assert set(aside) == {"anna/big.zip/2.zip/a.npz", "anna/big.zip/3.zip"}
    many = {f"{i}.zip": {f"{j}.txt": b"" for j in range(3)} for i in range(3)}
    assert read({"anna/many.zip": many})[1] == {"anna/many.zip/2.zip": "a zip of 3 files: expected 1 at most"}


def test_many_files_are_refused(read, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_FILES", 5)
    _, aside = read({"anna/many.zip": {f"{i}.txt": b"" for i in range(6)}})
    assert aside == {"anna/many.zip": "a zip of 6 files: expected 5 at most"}


@pytest.mark.parametrize("cut", [10, 60, -30])
def test_a_zip_that_is_cut_off_gets_a_line(cut, read):
    files, aside = read({"anna/a.zip": zipped({"a.ipynb": b"{}" * 99})[:cut], "bert/b.ipynb": b"{}"})
    assert list(files) == ["bert/b.ipynb"]
    assert "a zip that cannot be read" in aside["anna/a.zip"]


def test_damage_within_a_zip_gets_a_line(read):
    packed = bytearray(zipped({"a.ipynb": bytes(range(256)) * 20}))
    packed[60:80] = bytes(20)
    files, aside = read({"anna/a.zip": bytes(packed)})
    assert files == {}
    assert "cannot be unpacked" in aside["anna/a.zip/a.ipynb"]


def test_a_later_version_of_the_format_gets_a_line(read):
    packed = bytearray(zipped({"a.ipynb": b"{}"}))
    packed[packed.index(b"PK\x01\x02") + 6] = 122
    assert read({"anna/a.zip": bytes(packed)})[1] == {"anna/a.zip": "a zip that cannot be read (zip file version 12.2)"}


def test_bytes_that_are_changed_at_random_stop_nothing(tmp_path):
    rng, whole = random.Random(5), zipped({"anna/a.ipynb": b"{}" * 40, "anna/w.zip": {"b.ipynb": b"{}"}})
    for number in range(100):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 9)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / "all.zip").write_bytes(content)
        (tmp_path / f"{number}").mkdir()
        with suppress(UsageError):
            listing(tmp_path / "all.zip", tmp_path / f"{number}")


def test_a_password_gets_a_line(read):
    packed = bytearray(zipped({"a.ipynb": b"{}"}))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + place] |= 1
    assert "encrypted" in read(bytes(packed))[1]["a.ipynb"]


def test_names_in_utf_8_that_say_code_page_437(read):
    """As macOS writes them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Åsa/x.ipynb", b"{}")
    content = bytearray(packed.getvalue())
    for signature, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        content[content.index(signature) + place] &= ~8 & 0xFF
    assert list(read(bytes(content))[0]) == ["Åsa/x.ipynb"]


def test_a_folder_called_like_its_zip_is_left_out(read):
    files, _ = read({"all/anna/x.ipynb": b"{}", "all/bert/x.ipynb": b"{}", "__MACOSX/all/._x": b""})
    assert list(files) == ["anna/x.ipynb", "bert/x.ipynb"]


def test_neither_folder_nor_zip(tmp_path):
    (tmp_path / "x").write_text("x")
    for place in ("x", "nowhere"):
        with pytest.raises(UsageError, match="expected a folder of hand-ins, or a zip of them"):
            listing(tmp_path / place, tmp_path)
