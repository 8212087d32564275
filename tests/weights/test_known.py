"""Trained nets that many people have: found, named, told how to get, checked."""

import hashlib
import re

import pytest

import tinyalex
from tinyalex import AlexNet
from tinyalex.errors import CheckpointError, DataError
from tinyalex.spec import VARIANTS
from tinyalex.weights import known
from tinyalex.weights.known import KNOWN, Known, known_as, locate, with_known
from tinyalex.weights.pixels import Given

CONTENT = b"numbers"
DIGEST = hashlib.sha1(CONTENT).hexdigest()


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """TINYALEX_WEIGHTS and the cache folder, both empty."""
    own, cache = tmp_path / "own", tmp_path / "cache" / "weights"
    own.mkdir()
    monkeypatch.setenv("TINYALEX_WEIGHTS", str(own))
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path / "cache"))
    return own, cache


def test_the_table_makes_sense():
    for name, one in KNOWN.items():
        assert name == one.name
        assert one.url.endswith(f"/{one.file}")
        assert one.variant in VARIANTS or one.file.endswith("_mean.npy")
        if one.checksum:
            kind, digits = one.checksum.split(":")
            assert re.fullmatch(r"[0-9a-f]+", digits)
            assert len(digits) == 2 * hashlib.new(kind).digest_size
        if (in_name := re.search(r"-([0-9a-f]{8})\.pth", one.file)) is not None:  # as torch.hub names its files
            assert one.checksum.startswith(f"sha256:{in_name[1]}")
        assert one.top1 is None or one.top1 < one.top5 < 100
    assert len({one.checksum for one in KNOWN.values() if one.checksum}) == len(KNOWN) - 1


def test_names_are_ours_or_the_files():
    assert known_as("torchvision") is known_as("alexnet-owt-7be5be79.pth") is KNOWN["torchvision"]
    assert known_as("bvlc_alexnet").file == "bvlc_alexnet.caffemodel"
    assert known_as("torch") is None


def test_a_file_is_found_in_either_folder(folders):
    own, cache = folders
    one = KNOWN["bvlc_alexnet"]
    assert one.find() is None
    cache.mkdir(parents=True)
    (cache / one.file).write_bytes(b"")
    assert locate("bvlc_alexnet") == cache / one.file
    (own / "caffe").mkdir()
    (own / "caffe" / one.file).write_bytes(b"")
    assert locate("bvlc_alexnet") == own / "caffe" / one.file
    (own / one.file).write_bytes(b"")
    assert locate(one.file) == own / one.file


def test_without_the_variable_only_the_cache_is_searched(folders, monkeypatch):
    monkeypatch.delenv("TINYALEX_WEIGHTS")
    assert known.folders() == [folders[1]]


@pytest.mark.usefixtures("folders")
def test_a_file_in_the_working_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torchvision").write_bytes(b"")
    assert str(locate("torchvision")) == "torchvision"


def test_what_is_not_here_is_told_with_how_to_get_it(folders):
    own, cache = folders
    with pytest.raises(CheckpointError) as told:
        tinyalex.load("torchvision")
    one = KNOWN["torchvision"]
    assert str(told.value) == (
        f"got torchvision, which is not here: expected {one.file} in {own} or {cache}; run tinyalex weights --fetch "
        f"torchvision, or download {one.url} in a browser and put it there"
    )


def test_a_name_that_nobody_knows():
    with pytest.raises(CheckpointError, match=r"^got torchvison, which does not exist: .* one of torchvision, .*mean$"):
        tinyalex.load("torchvison")


@pytest.mark.parametrize("path", ["run/checkpoint", "net.pth", "net.npz"])
def test_a_path_is_left_to_the_reader(path):
    assert str(locate(path)) == path
    with pytest.raises(CheckpointError, match=f"^got {path}") as told:
        tinyalex.load(path)
    assert "torchvision," not in str(told.value)


def test_a_net_is_loaded_by_its_name(folders, monkeypatch):
    monkeypatch.setitem(KNOWN, "ours", Known("ours", "ours.npz", "http://no/ours.npz", None, None, "MIT", "mini"))
    net = AlexNet("mini", num_classes=3)
    tinyalex.save(net, folders[0] / "ours.npz")
    assert tinyalex.load("ours").params["conv1.w"].tobytes() == net.params["conv1.w"].tobytes()


def one_with(checksum):
    return Known("one", "one.pth", "http://nowhere.invalid/one.pth", checksum, None, "", "mini")


def test_the_checksum_is_compared(tmp_path):
    path = tmp_path / "one.pth"
    path.write_bytes(CONTENT)
    assert one_with(f"sha1:{DIGEST}").check(path) == f"sha1 {DIGEST}"
    assert one_with(None).check(path) == "no checksum is known"
    with pytest.raises(CheckpointError, match=rf"got .*one\.pth with the sha1 {DIGEST}: expected 000; download it"):
        one_with("sha1:000").check(path)


def test_only_what_is_missing_is_fetched(folders, monkeypatch):
    calls = []
    monkeypatch.setattr(known, "fetch", lambda *arguments: calls.append(arguments) or arguments[-1])
    one = one_with("sha1:1")
    assert one.fetch() == folders[1] / "one.pth"
    assert calls == [(one.url, "sha1:1", folders[1] / "one.pth")]
    (folders[0] / "one.pth").write_bytes(b"")
    assert one.fetch() == folders[0] / "one.pth"
    assert len(calls) == 1


def test_without_a_connection_the_message_says_where_to_put_the_file(folders, monkeypatch):
    requests = pytest.importorskip("requests")
    pytest.importorskip("pooch")

    def get(*_, **__):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(DataError, match=rf"no route to host.*in a browser and put it at {folders[1] / 'one.pth'}$"):
        one_with("sha1:1").fetch()


def test_what_is_known_of_a_file_is_the_default(tmp_path):
    zoo = tmp_path / "bvlcalexnet-12.onnx"
    assert with_known(zoo, Given()) == KNOWN["bvlcalexnet-12"].given
    changed = with_known(zoo, Given(size=256, colours="RGB"))
    assert (changed.size, changed.colours, changed.rule) == (256, "RGB", "warp")
    assert with_known(tmp_path / "other.onnx", Given(size=256)) == Given(size=256)
