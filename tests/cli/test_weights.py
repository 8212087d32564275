"""tinyalex weights and verify, and the options that say of a file what it does not say itself."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyalex
from devkit_files import meta
from tinyalex import cli
from tinyalex.cli import weights
from tinyalex.cli.checkpoints import FileOptions, NetOptions
from tinyalex.errors import CheckpointError, DataError, UsageError
from tinyalex.weights import checkpoint, known
from tinyalex.weights.known import KNOWN
from tinyalex.weights.names import imagenet_classes, imagenet_names
from tinyalex.weights.pixels import Given


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, and no other folders of weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYALEX_WEIGHTS", raising=False)
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run(capsys, words):
    code = cli.main(words.split())
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# ---------------------------------------------------------------- weights


def test_the_list(here, capsys):
    file = here / "cache" / "weights" / "bvlc_alexnet.caffemodel"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    code, out, err = run(capsys, "weights")
    assert (code, err) == (0, "")
    header, *rows, empty, note = out.splitlines()
    assert header.split() == ["name", "MB", "net", "licence", "top-1", "top-5", "here"]
    assert [row.split()[0] for row in rows] == list(KNOWN)
    by_name = {row.split()[0]: row for row in rows}
    assert by_name["bvlc_alexnet"].split()[1:] == ["244", "caffe", "unrestricted", "57.1", "80.2", str(file)]
    assert by_name["torchvision"].split()[1:] == ["244", "torchvision", "BSD-3", "56.522", "79.066", "-"]
    assert by_name["ilsvrc_2012_mean"].split()[-3:] == ["-", "-", "-"]
    assert empty == ""
    assert note.endswith(f"Searched: {here / 'cache' / 'weights'}")


def test_one_is_fetched(here, capsys, monkeypatch):
    one = known.Known("one", "one.bin", "http://no.invalid/one.bin", None, None, "MIT", "mini")
    monkeypatch.setitem(KNOWN, "torchvision", one)

    def fetch(url, checksum, path):
        assert (url, checksum) == (one.url, one.checksum)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        return path

    monkeypatch.setattr(known, "fetch", fetch)
    code, out, _ = run(capsys, "weights --fetch torchvision")
    assert (code, out) == (0, f"{here / 'cache' / 'weights' / 'one.bin'}: no checksum is known\n")


def test_a_fetched_file_with_another_checksum(here, capsys):
    file = here / "cache" / "weights" / "bvlc_alexnet.caffemodel"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    code, out, err = run(capsys, "weights --fetch bvlc_alexnet")
    assert (code, out) == (2, "")
    assert re.fullmatch(
        r"tinyalex: got .*caffemodel with the sha1 da39\w+: expected 9116a6\w+; download it again\n", err
    )


def test_a_name_that_is_not_known(capsys):
    with pytest.raises(SystemExit):
        cli.main(["weights", "--fetch", "alexnet"])
    assert "got 'alexnet': expected one of torchvision, torchvision-old, bvlc_alexnet" in capsys.readouterr().err


# ---------------------------------------------------------------- verify


@pytest.fixture
def example(here):
    """The example as a file, and what it computes of an image."""
    trained = tinyalex.load_example()
    checkpoint.write(trained, here / "net.npz")
    image = np.random.default_rng(0).normal(size=(3, 32, 32)).astype("float32")
    outputs = {name: trained.net.forward(image[None], upto=name)[0] for name in ("relu1", "pool2", "fc8")}
    np.savez_compressed(here / "golden.npz", image=image, **outputs)
    return here


def test_a_net_that_fits(example, capsys):
    code, out, err = run(capsys, "verify net.npz --golden golden.npz --out made")
    assert (code, err) == (0, "")
    first, empty, *lines = out.splitlines()
    assert (first, empty) == ("net.npz: mini, 10 classes", "")
    assert lines[0] == "ok   parameters                      945,354 in 16 arrays, all finite"
    at = lines.index("     stage         difference     largest    relative   (at most 0.001)")
    stages = [line.split() for line in lines[at + 1 : at + 4]]
    assert [stage[:2] for stage in stages] == [["ok", "relu1"], ["ok", "pool2"], ["ok", "fc8"]]
    assert all(float(stage[4]) < 1e-5 for stage in stages)
    assert lines[-1] == "made/kernels.png"
    with Image.open(example / "made" / "kernels.png") as picture:
        assert picture.width > 500


def test_a_net_that_computes_something_else(example, capsys):
    trained = checkpoint.read(example / "net.npz")
    trained.net.params["conv2.w"] *= 1.1
    checkpoint.write(trained, example / "net.npz")
    code, out, _ = run(capsys, "verify net.npz --golden golden.npz")
    assert code == 2
    assert [line.split()[:2] for line in out.splitlines()[-3:]] == [["ok", "relu1"], ["NOT", "pool2"], ["NOT", "fc8"]]


def test_a_net_that_fails_the_self_test(here, capsys):
    tinyalex.save(tinyalex.AlexNet("mini", num_classes=10, seed=0), here / "new.npz")
    code, out, _ = run(capsys, "verify new.npz")
    assert code == 2
    assert "NOT  first kernels                   20% of the energy in low frequencies, 20% in those of noise\n" in out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("verify nowhere.npz", r"got nowhere\.npz: expected a \.npz file .*"),
        ("verify nowhere", r"got nowhere, which does not exist: expected a file, or one of torchvision, .*"),
        ("verify torchvision", r"got torchvision, which is not here: .* tinyalex weights --fetch torchvision, .*"),
        ("verify net.npz --golden nowhere.npz", r"got nowhere\.npz, which does not exist or is no file: .*"),
        ("verify net.npz --golden net.npz", r"got as the stored image none: expected an array called image .*"),
        ("verify net.npz --mean nowhere", r"got nowhere, which does not exist: expected a file, or one of .*"),
        ("verify net.npz --classes nowhere.txt", r"cannot read nowhere\.txt \(.*\): expected a text .*"),
    ],
)
@pytest.mark.usefixtures("example")
def test_mistakes_are_one_line(capsys, words, error):
    code, out, err = run(capsys, words)
    assert code == 2
    assert re.fullmatch(f"tinyalex: {error}\n", err), err
    assert "ok " not in out or "--golden" in words


@pytest.mark.usefixtures("example")
def test_a_known_file_is_compared_with_its_checksum(capsys, monkeypatch):
    one = known.Known("ours", "net.npz", "http://no.invalid/net.npz", "sha1:00", None, "MIT", "mini")
    monkeypatch.setitem(KNOWN, "ours", one)
    code, _, err = run(capsys, "verify net.npz")
    assert code == 2
    assert "expected 00; download it again" in err


def real(path):
    file = Path(os.environ.get("TINYALEX_WEIGHTS", "-"), path)
    if not file.is_file():
        pytest.skip(f"TINYALEX_WEIGHTS names no folder with {path}")
    return file.absolute()


def test_caffenet_needs_no_option(tmp_path, capsys):
    """Its stored outputs tell caffenet from caffe: norm1 is as small as pool1."""
    file = real("caffenet/caffenet-to-norm2.npz")
    code, out, _ = run(capsys, f"verify {file} --golden {file} --out {tmp_path}")
    assert code == 0
    assert f"{file}: caffenet, 1000 classes" in out
    stages = ["relu1", "pool1", "norm1", "relu2", "pool2", "norm2"]
    assert [line.split()[1] for line in out.splitlines()[-8:-2]] == stages


def test_of_several_nets_one_must_be_chosen(capsys):
    file = real("alexnet-int8/alexnet-int8.npz")
    code, _, err = run(capsys, f"verify {file}")
    assert code == 2
    assert err.endswith("got parameters that fit several nets: expected one; choose it by --variant: caffe, caffenet\n")
    assert run(capsys, f"verify {file} --variant caffe")[0] == 0


# ---------------------------------------------------------------- the options


@dataclass(frozen=True)
class Asking(NetOptions):
    """Returns what the options say."""

    example = ""

    def run(self):
        return None


def test_what_the_options_say(here):
    (here / "mean.npy").write_bytes(b"")
    (here / "names.txt").write_text("0\tn1\tcat\n\n1\tn2\tdog\n")
    assert Asking().given() == Given()
    assert Asking(mean="1,2.5,3", classes=Path("names.txt")).given() == Given(mean=(1, 2.5, 3), classes=("cat", "dog"))
    said = Asking(variant="caffe", mean="mean.npy", scale=(1.0, 2.0, 3.0), colours="BGR", rule="warp", size=256).given()
    assert said == Given("caffe", Path("mean.npy"), "BGR", (1.0, 2.0, 3.0), "warp", 256)


def test_the_classes_of_the_development_kit(here, rng):
    order = rng.permutation(1000)
    classes = imagenet_classes()
    meta(here / "meta.mat", [(i + 1, *classes[number]) for i, number in enumerate(order)])
    names = Asking(classes=here / "meta.mat").given().classes
    assert names == tuple(imagenet_names()[number] for number in order)
    with pytest.raises(DataError, match=r"cannot read .*none\.txt"):
        Asking(classes=here / "none.txt").given()


@pytest.mark.usefixtures("example")
def test_one_net_is_named():
    trained, message = Asking(weights="net.npz").trained()
    assert message == "checkpoint net.npz"
    assert trained.classes == tinyalex.load_example().classes
    with pytest.raises(UsageError, match=r"got --weights a and --checkpoint b: expected one of them"):
        Asking(weights="a", checkpoint=Path("b")).trained()


def test_a_part_of_a_net_is_refused_unless_it_will_do():
    file = real("alexnet-int8/alexnet-int8.npz")
    asking = Asking(weights=str(file), variant="caffe")
    with pytest.raises(CheckpointError, match=r"got a part of a net, without fc6\.w, fc7\.w: expected all parameters"):
        asking.trained()
    trained, message = asking.trained(part=True)
    assert message == f"checkpoint {file} (the net caffe; pictures by the rule warp, 256 pixels)"
    assert trained.missing == ("fc6.w", "fc7.w")
    trained.check_whole("relu5")
    with pytest.raises(CheckpointError, match=r"without fc6\.w: "):
        trained.check_whole("fc6")


@pytest.mark.parametrize(("words", "option"), [("--scale 1,2", "--scale"), ("--colours GBR", "--colours")])
def test_options_of_the_wrong_kind(capsys, words, option):
    with pytest.raises(SystemExit):
        cli.main(f"verify net.npz {words}".split())
    assert f"argument {option}: got" in capsys.readouterr().err


def test_the_help_of_the_group_names_both(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = capsys.readouterr().out
    assert "weights      List the trained AlexNets that are known by name" in listed
    assert issubclass(weights.Verify, FileOptions)
