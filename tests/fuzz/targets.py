"""What is damaged and read: to add a format, add a target."""

import hashlib
import importlib
import io
import json
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

import tinyalex
from caffe_files import blob, layers_of, net_of, small_net, trained
from cifar_files import NAMES, as_file, batch, rows_of, with_old_names
from devkit_files import RECORDS, devkit, meta
from prepared_set import write_set
from tinyalex import spec, weights
from tinyalex.data import PixelSums, load_cifar10, load_cifar100, load_folder, prepare_image, read_image
from tinyalex.data.examine import kept_or_examined
from tinyalex.data.prepare import check_header
from tinyalex.data.shards.dataset import load_prepared
from tinyalex.data.shards.images import content
from tinyalex.data.shards.index import INDEX
from tinyalex.data.shards.labels import read_labels
from tinyalex.data.shards.shard import ShardEntry, shard_name
from tinyalex.data.shards.sources import open_source
from tinyalex.data.shards.unfinished import Rejected, Unfinished, Written, state_in
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.history import epoch_record
from tinyalex.training.position import Position
from tinyalex.training.settings import settings_for
from tinyalex.training.state import RunState, run_state
from tinyalex.weights import checkpoint, onnx_export
from tinyalex.weights.archive import CHECKSUM, _checksum
from tinyalex.weights.formats import torch
from tinyalex.weights.formats.caffe import read_mean
from tinyalex.weights.pixels import Given
from torch_files import as_pickle, state_of, text, whole, zip_form

STORED = Path(__file__).parent.parent / "weights" / "stored"


@dataclass(frozen=True)
class Target:
    """A kind of file.

    write: fills an empty folder with whole files of that kind, small ones, in all their forms.
    read:  reads the file at a path, or the set in the folder that it is a part of. It may raise a TinyAlexError.
    files: which files are damaged.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    files: str = "**/*"


# ---------------------------------------------------------------- CIFAR


def write_cifar(folder):
    """A folder for Python 2 and for each protocol of Python 3, for both sets."""
    for protocol in (None, *range(6)):

        def put(where, name, content, protocol=protocol):
            path = folder / f"{where}-{protocol}" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(as_file(content) if protocol is None else pickle.dumps(content, protocol))

        one = batch(rows_of(1, 1), [1])
        fine = {b"data": rows_of(1, 1), b"fine_labels": [1], b"filenames": [b"a_cat.png"]}
        for name in ("data_batch_1", "test_batch"):
            put("cifar10", name, one)
        for name in ("train", "test"):
            put("cifar100", name, fine)
        put("cifar10", "batches.meta", {b"label_names": NAMES, b"num_vis": 3072})
        put("cifar100", "meta", {b"fine_label_names": NAMES, b"coarse_label_names": NAMES[:2]})


def read_cifar(path):
    load = load_cifar100 if path.parent.name.startswith("cifar100") else load_cifar10
    load(path.parent, "train" if path.name in ("train", "data_batch_1") else "val", size=33)


# ---------------------------------------------------------------- images


def write_images(folder):
    """Images in all modes that the formats have, with what else may be in their files."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(np.kron(rng.integers(0, 256, (5, 7, 3)), np.ones((4, 4, 1))).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"  # turned by a quarter; the maker
    frames = {"save_all": True, "append_images": [rgb.rotate(90)], "duration": 50}
    sixteen = Image.fromarray(rng.integers(0, 65536, (20, 28)).astype(np.uint16))
    forms = {
        "plain.jpg": (rgb, {"exif": exif, "icc_profile": b"profile" * 20, "comment": b"a comment"}),
        "progressive.jpg": (rgb, {"progressive": True, "subsampling": 2, "restart_marker_blocks": 2}),
        "grey.jpg": (rgb.convert("L"), {}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "rgb.png": (rgb, {"exif": exif, "dpi": (72, 72)}),
        "grey.png": (rgb.convert("L"), {}),
        "bits.png": (rgb.convert("1"), {}),
        "sixteen.png": (sixteen, {}),
        "palette.png": (rgb.quantize(16), {"transparency": b"\x00\x80\xff"}),
        "alpha.png": (rgb.convert("RGBA"), {}),
        "grey-alpha.png": (rgb.convert("LA"), {}),
        "animated.png": (rgb, frames),
        "lossy.webp": (rgb, {"exif": exif}),
        "lossless.webp": (rgb.convert("RGBA"), {"lossless": True}),
        "animated.webp": (rgb, frames),
        "rgb.bmp": (rgb, {}),
        "palette.bmp": (rgb.quantize(16), {}),
        "bits.bmp": (rgb.convert("1"), {}),
        "one.gif": (rgb.quantize(16), {"comment": b"a comment", "transparency": 3}),
        "animated.gif": (rgb, frames),
        "raw.tiff": (rgb, {}),
        "sixteen.tiff": (sixteen, {}),
        "float.tiff": (Image.fromarray(rng.random((20, 28), np.float32)), {}),
        "pages.tiff": (rgb, frames | {"compression": "tiff_lzw"}),
        **{f"{name}.tiff": (rgb, {"compression": name}) for name in ("jpeg", "tiff_adobe_deflate", "packbits")},
        "group4.tiff": (rgb.convert("1"), {"compression": "group4"}),
    }
    for name, (image, options) in forms.items():
        image.save(folder / name, **options)


def read_picture(path):
    prepare_image(read_image(path), 16)


def read_picture_header(path):
    check_header(path)


# ---------------------------------------------------------------- prepared sets


def write_sets(folder):
    for form in ("raw", "jpeg"):
        (folder / form).mkdir()
        write_set(folder / form, form)


def set_of(path):
    return next(parent for parent in path.parents if parent.name in ("raw", "jpeg"))


def read_set(path):
    for part in load_prepared(set_of(path), size=8):
        part.read(np.arange(len(part)))


def read_set_with_right_sums(path):
    """As whoever made the set on purpose would have it: the checksums in the index are those of the files."""
    folder = set_of(path)
    before = (folder / INDEX).read_bytes()
    if path.name != INDEX:
        index = json.loads(before)
        index["statistics"] = hashlib.sha256((folder / "statistics.npz").read_bytes()).hexdigest()
        for shard in (shard for shards in index["splits"].values() for shard in shards):
            shard["sha256"] = hashlib.sha256((folder / shard["file"]).read_bytes()).hexdigest()
        (folder / INDEX).write_text(json.dumps(index))
    try:
        read_set(path)
    finally:
        (folder / INDEX).write_bytes(before)


# ---------------------------------------------------------------- checkpoints


SMALL = spec.Spec(
    "small",
    {
        "conv1": spec.Conv(4, 3, pad=1, reads_all=True),
        "relu1": spec.Activation(),
        "norm1": spec.Norm(),
        "pool1": spec.Pool(),
        "flatten": spec.Flat(),
        "fc6": spec.Full(8),
        "dropout6": spec.Drop(),
        "fc8": spec.Full(None),
    },
    input_size=16,
    recipe=spec.Recipe(epochs=3, lr=0.05),
)


@cache
def a_checkpoint():
    net = tinyalex.AlexNet(SMALL, num_classes=3, cross_columns=(), seed=1)
    velocity = {name: np.zeros_like(array) for name, array in net.params.items()}
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (4, 20, 20, 3), np.uint8)
    statistics = PixelSums(20)
    statistics.add(images)
    return checkpoint.Checkpoint(net, ("a", "b", "c"), statistics.statistics(), velocity, {"settings": {"lr": 0.1}})


def write_checkpoints(folder):
    whole = a_checkpoint()
    checkpoint.write(whole, folder / "run.npz")
    checkpoint.write(whole, folder / "half.npz", half=True)
    checkpoint.write(replace(whole, velocity={}, statistics=None, training={}, classes=()), folder / "net.npz")


def write_parts(folder):
    """The files inside a checkpoint; its text as text."""
    write_checkpoints(folder)
    for path in list(folder.iterdir()):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / path.stem)
        path.unlink()
        about = folder / path.stem / "about.npy"
        about.with_suffix(".json").write_text(str(np.load(about)))
        about.unlink()
        (folder / path.stem / f"{CHECKSUM}.npy").unlink()


def read_parts(path):
    """As whoever made the checkpoint on purpose would have it: all checksums are right."""
    folder = next(parent for parent in path.parents if (parent / "about.json").exists())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        about = io.BytesIO()
        np.save(about, np.array((folder / "about.json").read_text("utf-8", "replace")))
        archive.writestr("about.npy", about.getvalue())
        for part in sorted(folder.rglob("*.npy")):
            archive.writestr(str(part.relative_to(folder)), part.read_bytes())
        checksum = io.BytesIO()
        np.save(checksum, np.array(_checksum(archive.infolist())))
        archive.writestr(f"{CHECKSUM}.npy", checksum.getvalue())
    (folder / "packed").write_bytes(packed.getvalue())
    try:
        checkpoint.read(folder / "packed")
    finally:
        (folder / "packed").unlink()


def write_states(folder):
    """The state of a run in the second of three epochs: a file for each value that its checkpoint has."""
    settings = settings_for(input_size=SMALL.input_size, epochs=3)
    position = Position(epoch=1, step=2, images=2 * settings.batch, loss=9.0, wrong=3.0, lr=0.05, seconds=0.5)
    record = epoch_record(replace(position, epoch=0), Ranks())
    state = RunState(settings, position, [record], 10 * settings.batch, "0" * 64)
    for part, values in asdict(state).items():
        (folder / part).mkdir()
        for name, value in values.items() if isinstance(values, dict) else [("whole", values)]:
            (folder / part / name).write_text(json.dumps(value))


def read_state(path):
    training = {}
    for part in path.parents[1].iterdir():
        values = {file.name: json_or_text(file.read_text("latin-1")) for file in part.iterdir()}
        training[part.name] = values.get("whole", values)
    run_state(replace(a_checkpoint(), training=training))


def json_or_text(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # told by the reader of checkpoints
        return text


# ---------------------------------------------------------------- what preparing reads, and what it leaves


def write_tars(folder):
    """Class folders in a tar file of each form, and tar files for classes in a tar file."""
    names = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", f"dog/{'long' * 20}.jpg", "dog/é.jpg")
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        write_tar(folder / f"form{form}.tar", {name: name.encode() for name in names}, form)
        write_tar(folder / "class.tar", {f"{number}.jpg": b"none" for number in range(3)}, form)
        inner = (folder / "class.tar").read_bytes()
        write_tar(folder / f"nested{form}.tar", {"n01440764.tar": inner, "n01443537.tar": inner}, form)
    (folder / "class.tar").unlink()


def write_tar(path, contents, form):
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def read_tar(path):
    for listing in open_source(path).splits.values():
        for number in range(len(listing)):
            content(listing[number])


def write_tables(folder):
    (folder / "labels.csv").write_text("filename,wnid,name\n1.jpg,n01440764,tench\n2.jpg,n01443537,goldfish\n")
    (folder / "kaggle.csv").write_text("ImageId,PredictionString\n1,n01440764 1 2 3 4\n2,n01443537 1 2 3 4\n")


def write_devkits(folder):
    for compressed in (True, False):
        meta(devkit(folder / f"compressed-{compressed}").with_name("meta.mat"), RECORDS, compressed=compressed)


def read_devkit(path):
    read_labels(path.with_name("ILSVRC2012_validation_ground_truth.txt"))


PREPARED = {"source": "0123", "seed": 1, "form": "raw"}


def write_unfinished(folder):
    """The state of a set of which two shards are there."""
    sums = PixelSums(4)
    sums.add(np.full((3, 4, 4, 3), 100, np.uint8))
    shards = [ShardEntry(shard_name("train", number, "raw"), 1, 60, "0" * 64) for number in range(2)]
    written = {shard.file: Written(shard, (Rejected("a.jpg", "damaged"),)) for shard in shards}
    Unfinished(PREPARED, sums, written).save(folder)


def read_unfinished(path):
    state_in(path.parent, PREPARED, 4)


def write_examination(folder):
    """What was found in the images of a folder, in a file with the name that belongs to it."""
    photos = folder / "photos"
    for number, name in enumerate(("train/cat", "train/dog", "val/cat", "val/dog")):
        (photos / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), (9 * number, 0, 0)).save(photos / name / "1.png")
    (photos / "train/dog/2.png").write_bytes(b"none")
    read_examination(folder / "new.npz")


def read_examination(path):
    """A damaged file is not used: the images are looked at again."""
    train, _ = load_folder(path.parent / "photos", size=8)
    found = kept_or_examined(train, path.parent)
    assert list(found.bad) == [2]


# ---------------------------------------------------------------- other people's nets


PIXELS = Given(mean=(104.0, 117.0, 123.0), colours="RGB", scale=(1.0, 1.0, 1.0))


def read_net(path):
    weights.read(path, PIXELS)


def write_caffe(folder):
    """Both generations, as a solver leaves them and for use, with both kinds of shapes."""
    for generation in (1, 2):
        for variant in ("caffe", "cifar10-full"):
            layers = list(layers_of(small_net(variant), old=generation == 1))
            made = trained(layers, generation=generation, crop_size=227 if variant == "caffe" else 32, mean_value=[7])
            (folder / f"{variant}{generation}.caffemodel").write_bytes(made.SerializeToString())
    made = net_of(layers, input=["data"], input_dim=[1, 3, 32, 32])
    (folder / "use.caffemodel").write_bytes(made.SerializeToString())


def write_torch(folder):
    """Both forms, as PyTorch writes them."""
    for path in STORED.glob("*.pth"):
        if path.stem != "whole":
            shutil.copy(path, folder)


TENSORS = {"a": (2, 3), "b": (4,), "c": ()}


def write_tensors(folder):
    """What a zip archive of PyTorch's says of its tensors, without the archive."""
    arrays = {name: np.ones(shape, "f4") for name, shape in TENSORS.items()}
    body, _ = state_of(arrays)
    (folder / "state.pkl").write_bytes(as_pickle(body))
    entries = text("epoch") + whole(3) + text("state_dict") + body
    (folder / "more.pkl").write_bytes(as_pickle(b"}(" + entries + b"u"))


def read_tensors(path):
    """The archive made anew, with checksums that fit the damage."""
    storages = {str(number): np.ones(shape, "f4").tobytes() for number, shape in enumerate(TENSORS.values())}
    made = path.with_name("made.pth")
    made.write_bytes(zip_form(path.read_bytes()[2:-1], storages))
    torch.read_arrays(made)


def write_safetensors(folder):
    """Those of another program, and ours, with the text about the net."""
    for path in STORED.glob("*.safetensors"):
        shutil.copy(path, folder)
    weights.save(small_net("paper"), folder / "ours.safetensors")


def write_dictionaries(folder):
    """Both forms of the dictionary, of which NumPy writes the second under its old names too."""
    net = small_net("caffe").params
    layers = {name.removesuffix(".w"): [net[name].T, net[f"{name[:-1]}b"]] for name in net if name.endswith(".w")}
    np.save(folder / "lists.npy", layers)
    np.save(folder / "dicts.npy", {name: {"weights": w, "biases": b} for name, (w, b) in layers.items()})
    (folder / "old.npy").write_bytes(with_old_names((folder / "lists.npy").read_bytes()))


def write_collections(folder):
    """Arrays with the output of a layer beside them, compressed and not, in floats and in integers of 8 bits."""
    arrays = {name.replace(".", "_"): w for name, w in small_net("caffe").params.items()}
    small = {name: w.astype("i1" if name.endswith("w") else "f4") for name, w in arrays.items()}
    for number, save in enumerate((np.savez, np.savez_compressed)):
        save(folder / f"floats{number}.npz", **arrays, conv1=np.zeros((len(arrays["conv1_b"]), 55, 55), "f2"))
        save(folder / f"integers{number}.npz", **small)


def read_collection(path):
    weights.read(path, replace(PIXELS, variant="caffe"))


def write_means(folder):
    image = np.random.default_rng(0).uniform(0, 255, (3, 8, 8)).astype("f4")
    for old in (True, False):
        (folder / f"mean{old}.binaryproto").write_bytes(blob(image, old=old).SerializeToString())
    np.save(folder / "mean.npy", image)


def write_onnx(folder):
    """Those of other programs, with numbers inside and beside, and ours, with and without the text about them."""
    for path in STORED.glob("*.onnx*"):
        shutil.copy(path, folder)
    for variant in ("paper", "cifar10-full"):
        weights.save(small_net(variant), folder / f"{variant}.onnx")
        onnx_export.write(small_net(variant), folder / f"plain-{variant}.onnx")


def read_onnx(path):
    """A damaged file of numbers is read by the file that names it."""
    read_net(path.with_suffix("") if path.suffix == ".data" else path)


def of_hand_ins(name):
    """A function of the module hand_ins, which takes long to import: only its own workers do."""
    return lambda path: getattr(importlib.import_module("fuzz.hand_ins"), name)(path)


# The forged ones have checksums that are right, so that the damage is not told before it is read.
TARGETS = {
    "CIFAR": Target(write_cifar, read_cifar),
    "images": Target(write_images, read_picture),
    "headers of images": Target(write_images, read_picture_header),
    "prepared sets": Target(write_sets, read_set),
    "forged prepared sets": Target(write_sets, read_set_with_right_sums),
    "checkpoints": Target(write_checkpoints, checkpoint.read),
    "forged checkpoints": Target(write_parts, read_parts),
    "states of runs": Target(write_states, read_state),
    "tar files": Target(write_tars, read_tar),
    "tables of labels": Target(write_tables, read_labels),
    "development kits": Target(write_devkits, read_devkit),
    "unfinished sets": Target(write_unfinished, read_unfinished),
    "Caffe": Target(write_caffe, read_net),
    "PyTorch": Target(write_torch, read_net),
    "tensors of PyTorch": Target(write_tensors, read_tensors, "*.pkl"),
    "safetensors": Target(write_safetensors, read_net),
    "dictionaries of layers": Target(write_dictionaries, read_net),
    "collected arrays": Target(write_collections, read_collection),
    "means": Target(write_means, read_mean),
    "ONNX": Target(write_onnx, read_onnx),
    "examinations": Target(write_examination, read_examination, "*.npz"),
    "zips of hand-ins": Target(of_hand_ins("write_zips"), of_hand_ins("read_zip")),
    "forged zips of hand-ins": Target(of_hand_ins("write_contents"), of_hand_ins("read_contents")),
    "tables of a course": Target(of_hand_ins("write_tables"), of_hand_ins("read_table")),
}
