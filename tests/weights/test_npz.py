"""Arrays that somebody has collected in an .npz file: a part of a net, and what is beside it."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinyalex
from tinyalex import AlexNet
from tinyalex.errors import CheckpointError
from tinyalex.weights import checkpoint, read
from tinyalex.weights.formats import npz
from tinyalex.weights.pixels import Given

CAFFE = Given(variant="caffe")


@pytest.fixture
def arrays(rng):
    """The first two layers of caffe or caffenet."""
    return {
        "conv1_w": rng.normal(size=(96, 3, 11, 11)).astype("float32"),
        "conv1_b": rng.normal(size=96).astype("float32"),
        "conv2_w": rng.normal(size=(256, 48, 5, 5)).astype("float32"),
        "conv2_b": rng.normal(size=256).astype("float32"),
    }


@pytest.fixture
def file(tmp_path):
    return tmp_path / "part.npz"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_part_of_a_net(file, arrays, save):
    save(file, **arrays, remark=np.array("collected in 2014"))
    trained = read(file, CAFFE)
    net = trained.net
    assert net.spec.name == "caffe"
    np.testing.assert_array_equal(net.params["conv1.w"], arrays["conv1_w"][:, ::-1])  # its file has BGR
    np.testing.assert_array_equal(net.params["conv2.w"], arrays["conv2_w"])
    assert trained.missing == tuple(net.params)[4:]
    assert not any(net.params[name].any() for name in trained.missing)
    assert len(trained.classes) == 1000


def test_it_is_no_net_to_load_or_to_save(file, arrays, tmp_path):
    np.savez(file, **arrays)
    with pytest.raises(CheckpointError, match=r"got a part of a net, without conv3\.w, conv3\.b, .*: expected all"):
        tinyalex.load(file, CAFFE)
    with pytest.raises(CheckpointError, match=r"without conv3\.w"):
        checkpoint.write(read(file, CAFFE), tmp_path / "ours.npz")
    assert not (tmp_path / "ours.npz").exists()


def test_a_whole_net(file, rng):
    net = AlexNet("mini", num_classes=4, seed=1)
    np.savez(file, **{name.replace(".", "_"): w for name, w in net.params.items()})
    given = Given(variant="mini", mean=(1.0, 2.0, 3.0), colours="RGB", scale=(1.0, 1.0, 1.0))
    loaded = tinyalex.load(file, given)
    x = rng.normal(size=(2, 3, 32, 32)).astype("float32")
    np.testing.assert_array_equal(loaded.forward(x), net.forward(x))


def test_integers_of_8_bits_are_fractions(file, arrays):
    small = {name: np.round(w * 20).astype("int8" if name.endswith("w") else "float32") for name, w in arrays.items()}
    np.savez(file, **small)
    params = read(file, CAFFE).net.params
    assert params["conv2.w"].dtype == np.float32
    np.testing.assert_array_equal(params["conv2.w"] * 128, small["conv2_w"])
    np.testing.assert_array_equal(params["conv2.b"] * 128, small["conv2_b"])


def test_outputs_tell_nets_apart(file, arrays):
    np.savez(file, **arrays)
    with pytest.raises(CheckpointError, match="several nets: expected one; choose it by --variant: caffe, caffenet"):
        read(file)
    np.savez(file, **arrays, norm1=np.zeros((96, 27, 27)))  # as large as pool1, so pooling came first
    assert read(file).net.spec.name == "caffenet"
    np.savez(file, **arrays, norm1=np.zeros((8, 96, 55, 55)))
    assert read(file).net.spec.name == "caffe"


def test_an_output_of_no_net(file, arrays):
    np.savez(file, **arrays, norm1=np.zeros((96, 5, 5)))
    with pytest.raises(CheckpointError, match=r"part\.npz: got .*: expected the shapes of caffe"):
        read(file, CAFFE)


def test_a_file_that_grows_out_of_proportion_takes_no_memory(file, arrays):
    np.savez_compressed(file, **arrays, zeros=np.zeros(4 * 10**7, "u1"))
    with pytest.raises(CheckpointError, match=r"part\.npz, which is damaged or .* \(the entries are larger than the"):
        npz.read_arrays(file)


def damaged(content, how):
    match how:
        case "cut short":
            return content[: len(content) // 2]
        case "other bytes":
            middle = len(content) // 2
            return (
                content[:middle]
                + bytes(byte ^ 255 for byte in content[middle : middle + 100])
                + content[middle + 100 :]
            )
        case "objects":
            made = io.BytesIO()
            np.savez(made, conv1_w=np.array([{}], object))
            return made.getvalue()
        case "a header of absurd shape":
            made = io.BytesIO()
            with zipfile.ZipFile(made, "w") as archive:
                header = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999), }".ljust(117) + "\n"
                archive.writestr(
                    "conv1_w.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
                )
            return made.getvalue()


@pytest.mark.parametrize("how", ["cut short", "other bytes", "objects", "a header of absurd shape"])
def test_damaged_files(file, arrays, how):
    np.savez(file, **arrays)
    file.write_bytes(damaged(file.read_bytes(), how))
    with pytest.raises(CheckpointError, match=r"^got .*part\.npz, which is .*(damaged|cut short)") as told:
        read(file, CAFFE)
    assert "\n" not in str(told.value)


def test_the_real_ones():
    folder = Path(os.environ.get("TINYALEX_WEIGHTS", "-"))
    if not (folder / "alexnet-int8").is_dir():
        pytest.skip("TINYALEX_WEIGHTS names no folder with alexnet-int8")
    trained = read(folder / "alexnet-int8" / "alexnet-int8.npz", CAFFE)
    assert trained.missing == ("fc6.w", "fc7.w")
    assert 0.1 < np.abs(trained.net.params["conv1.w"]).max() < 1
    assert np.median(trained.net.params["fc6.b"]) == pytest.approx(0.1, abs=0.01)  # what Caffe began with
