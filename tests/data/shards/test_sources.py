"""Where images are found, which class each one has, and what is refused. No image is read, so any bytes will do."""

import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from devkit_files import RECORDS, devkit, meta
from tinyalex.data import load_folder
from tinyalex.data.shards.labels import read_labels
from tinyalex.data.shards.matlab import read_structs
from tinyalex.data.shards.sources import open_source
from tinyalex.errors import DataError


def write(root, *names):
    """A file of each name below `root`, which holds its own name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))
    return root


def tar(path, *members, **content):
    """A tar file of these members: a name, which is its content too, or a TarInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **content) as file:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            data = info.name.encode() if info.isreg() else b""
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def found(listing):
    """{class: its files} of a listing; the bytes at each place are checked against the file's name."""
    result = {name: [] for name in listing.classes}
    for index in range(len(listing)):
        item = listing[index]
        with Path(item.file).open("rb") as file:
            file.seek(item.offset or 0)
            data = file.read(item.size)
        name = data.decode(errors="surrogateescape").rpartition("/")[2]
        assert item.name.endswith(f"/{name}")
        result[listing.classes[item.label]].append(name)
    return result


def splits(source):
    return [found(source.splits[split]) for split in ("train", "val")]


TWO = ("train/n02/a.jpg", "train/n02/b.png", "train/n01/c.jpg", "val/n01/d.jpg", "val/n02/e.jpg")


# ---------------------------------------------------------------- folders


def test_train_and_val_folders(tmp_path):
    source = open_source(write(tmp_path / "photos", *TWO, "train/n01/.hidden.jpg", "train/n01/note.txt"))
    assert splits(source) == [{"n01": ["c.jpg"], "n02": ["a.jpg", "b.png"]}, {"n01": ["d.jpg"], "n02": ["e.jpg"]}]
    assert (source.name, source.classes, source.wnids, source.refused) == ("photos", ("n01", "n02"), None, [])


@pytest.mark.parametrize("layout", ["whole", "split"])
def test_the_same_images_as_load_folder(tmp_path, layout):
    names = [f"{split}/{c}/{i:02}.jpg" for split in ("train", "val") for c in ("cat", "dog") for i in (*range(11), 21)]
    root = write(tmp_path, *(names if layout == "split" else [name.partition("/")[2] for name in names[:24]]))
    source = open_source(root)
    for split, folder in zip(("train", "val"), load_folder(root, size=4), strict=True):
        listing = source.splits[split]
        assert [listing[i].file for i in range(len(listing))] == [str(path) for path in folder.paths]
        assert listing.labels.tolist() == folder.labels.tolist()
        assert source.classes == folder.classes


def test_readable_names_and_wnids(tmp_path):
    root = write(tmp_path, *(f"{wnid}/{i}.jpg" for wnid in ("n00000001", "n00000002") for i in range(2)))
    (root / "classes.tsv").write_text("0\tn00000001\ttench\n1\tn00000002\tcrane\n")
    source = open_source(root)
    assert (source.classes, source.wnids) == (("tench", "crane"), ("n00000001", "n00000002"))


def test_a_name_that_is_not_utf8_is_found(tmp_path):
    root = write(tmp_path, *TWO)
    (root / os.fsdecode(b"train/n01/\xff.jpg")).write_bytes(b"train/n01/\xff.jpg")
    assert found(open_source(root).splits["train"])["n01"] == ["c.jpg", os.fsdecode(b"\xff.jpg")]


def test_class_folders_that_cannot_be_told_apart_in_print(tmp_path):
    for name in (b"\xff", b"\xfe"):
        write(tmp_path, *(f"{os.fsdecode(name)}/{i}.jpg" for i in range(2)))
    with pytest.raises(DataError, match=r"got two classes called '\? \(\?\)' in .*: expected names that"):
        open_source(tmp_path)


def test_links_are_followed_within_the_folder_only(tmp_path):
    root = write(tmp_path / "photos", *TWO)
    outside = write(tmp_path / "other", "secret.jpg") / "secret.jpg"
    (root / "train/n01/inside.jpg").symlink_to(root / "train/n02/a.jpg")
    (root / "train/n01/out.jpg").symlink_to(outside)
    (root / "train/n01/broken.jpg").symlink_to(tmp_path / "nothing")
    (root / "train/n01/folder.jpg").mkdir()
    source = open_source(root)
    listing = source.splits["train"]
    assert [listing[i].name.rpartition("/")[2] for i in range(2)] == ["c.jpg", "inside.jpg"]
    assert source.refused == [
        (f"{root}/train/n01/broken.jpg", "not a file, or a link to nothing"),
        (f"{root}/train/n01/folder.jpg", "not a file, or a link to nothing"),
        (f"{root}/train/n01/out.jpg", f"a link that leads out of {root}"),
    ]
    assert len(open_source(root, follow_links=True).splits["train"]) == len(listing) + 1


def test_a_class_folder_that_is_a_link_out(tmp_path):
    root = write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg")
    write(tmp_path / "other", "dog/1.jpg", "dog/2.jpg")
    (root / "dog").symlink_to(tmp_path / "other/dog")
    with pytest.raises(DataError, match=r"dog, a link that leads out of .*: read it with --follow-links"):
        open_source(root)
    assert len(open_source(root, follow_links=True)) == 4


def test_a_class_of_links_that_lead_out(tmp_path):
    """It does not vanish in silence: the other classes' numbers would change."""
    root = write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg")
    write(tmp_path / "other", "1.jpg", "2.jpg")
    (root / "dog").mkdir()
    for name in ("1.jpg", "2.jpg"):
        (root / "dog" / name).symlink_to(tmp_path / "other" / name)
    message = r"the class 'dog' in .* with nothing but .*, the last .*2\.jpg \(a link that leads out of .*-links"
    with pytest.raises(DataError, match=message):
        open_source(root)
    assert open_source(root, follow_links=True).classes == ("cat", "dog")


def test_the_source_itself_may_be_a_link(tmp_path):
    write(tmp_path / "photos", *TWO)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    assert len(open_source(tmp_path / "link")) == 5


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"without class folders: expected one folder of images for each class"),
        (("a/1.jpg", "a/2.jpg", "b/note.txt"), r"class folder .*b without images"),
        (("a/1.jpg", "a/2.jpg", "b/1.jpg"), r"class folder .*b with 1 image: expected 2 or more"),
        (("train/a/1.jpg", "val/b/1.jpg"), r"got class a in .*train.* but not in .*val"),
        (("train/a/1.jpg",), r"without val: expected one of val, val.tar, .* name another place with --val"),
        (("val/a/1.jpg",), r"without train: expected one of train, "),
        (("1.jpg", "2.jpg"), r"or a table of the images' classes; name it with --labels"),
    ],
)
def test_layouts_that_are_refused(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        open_source(write(tmp_path, *names))


def test_no_such_source(tmp_path):
    with pytest.raises(DataError, match="which does not exist"):
        open_source(tmp_path / "nowhere")


def test_val_elsewhere(tmp_path):
    write(tmp_path, "a/cat/1.jpg", "a/dog/2.jpg", "b/cat/3.jpg", "b/dog/4.jpg")
    source = open_source(tmp_path / "a", val=tmp_path / "b")
    assert splits(source) == [{"cat": ["1.jpg"], "dog": ["2.jpg"]}, {"cat": ["3.jpg"], "dog": ["4.jpg"]}]


# ---------------------------------------------------------------- tables of labels


def test_images_with_a_table(tmp_path):
    root = write(tmp_path, *(f"images/{i:02}.JPEG" for i in range(12)), "images/lost.jpg")
    rows = [f"{i:02}.JPEG,n0{i % 2},{'cat' if i % 2 else 'dog'}" for i in range(12)]
    (root / "labels.csv").write_text("filename,wnid,name\n" + "\n".join(rows) + "\n")
    source = open_source(root)
    assert source.classes == ("dog", "cat")
    assert splits(source) == [
        {"n00": [f"{i:02}.JPEG" for i in range(2, 12, 2)], "n01": [f"{i:02}.JPEG" for i in range(3, 12, 2)]},
        {"n00": ["00.JPEG"], "n01": ["01.JPEG"]},
    ]
    assert source.refused == [(f"{root}/images/lost.jpg", f"{root}/labels.csv has no class for it")]


@pytest.mark.parametrize("count", [0, 1])  # of one image none is left to train with
def test_a_split_without_images(tmp_path, count):
    root = write(tmp_path, "images/0.jpg", "images/1.jpg")
    (root / "labels.csv").write_text("file,class\n" + "".join(f"{i}.jpg,cat\n" for i in range(count)))
    left_out = f"{root}/images/{count}.jpg was left out: {root}/labels.csv has no class for it"
    with pytest.raises(DataError, match=f"got {root} without images for train: expected one or more; {left_out}"):
        open_source(root)


def test_validation_images_that_the_table_does_not_know(tmp_path):
    root = write(tmp_path / "data", "train/n1/a.JPEG", "val/b.JPEG")
    (tmp_path / "table.csv").write_text("file,class\nc.JPEG,n1\n")
    with pytest.raises(DataError, match=r"without images for val: expected one or more; .*val/b\.JPEG was left out"):
        open_source(root, val=root / "val", labels=tmp_path / "table.csv")


def test_a_table_that_pandas_wrote(tmp_path):
    """Its first column, without a name, numbers the rows."""
    (tmp_path / "labels.csv").write_text(",filename,class\n0,a.jpg,cat\n1,b.jpg,dog\n")
    labels = read_labels(tmp_path / "labels.csv")
    assert (labels.classes, labels.names) == ({"a": "cat", "b": "dog"}, {})


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ('filename, class, name\na.jpg, "tabby, cat", tabby\n b.jpg , dog, dog\n', {"a": "tabby, cat", "b": "dog"}),
        ("ImageId , PredictionString \na, n1 85 1 499 272\nb, n2 1 2 3 4\n", {"a": "n1", "b": "n2"}),
    ],
)
def test_a_table_with_spaces_around_its_commas(tmp_path, text, classes):
    (tmp_path / "labels.csv").write_text(text)
    labels = read_labels(tmp_path / "labels.csv")
    assert labels.classes == classes
    assert labels.names == ({"tabby, cat": "tabby", "dog": "dog"} if "name\n" in text else {})


def test_one_image_a_class(tmp_path):
    """Where no class can give one away, every tenth image of all is for validation."""
    root = write(tmp_path, *(f"{i:02}.jpg" for i in range(12)))
    (root / "labels.csv").write_text("file,class\n" + "\n".join(f"{i:02}.jpg,class {i:02}" for i in range(12)))
    train, val = open_source(root).splits.values()
    assert (val.labels.tolist(), len(train)) == ([0, 10], 10)


def test_kaggle_s_table_for_flat_validation_images(tmp_path):
    root = write(tmp_path / "data", "train/n1/a.JPEG", "train/n2/b.JPEG", "val/ILSVRC2012_val_00000001.JPEG")
    table = tmp_path / "LOC_val_solution.csv"
    table.write_text("ImageId,PredictionString\nILSVRC2012_val_00000001,n2 85 1 499 272 \n")
    train, val = splits(open_source(root, labels=table))
    assert (train, val) == ({"n1": ["a.JPEG"], "n2": ["b.JPEG"]}, {"n1": [], "n2": ["ILSVRC2012_val_00000001.JPEG"]})
    table.write_text("ImageId,PredictionString\nILSVRC2012_val_00000001,n3 85 1 499 272 \n")
    with pytest.raises(DataError, match=r"got class n3 in .*val.* but not in .*train"):
        open_source(root, labels=table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"with the columns of an empty file: expected one called filename and one called wnid or class"),
        (b"a,b\n1,2\n", r"with the columns a, b"),
        (b"filename,class\nx.jpg\n", r"line 2 without a file or a class"),
        (b'filename,class\n" ",cat\n', r"line 2 without a file or a class"),
        (b"filename,class\n\xff.jpg,cat\n", r"expected a table of labels as CSV in UTF-8"),
        (b"filename,class\n\x00,\x00" + b"a" * 200_000, r"expected a table of labels as CSV|no class"),
    ],
)
def test_tables_that_are_refused(tmp_path, content, message):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / "labels.csv")


# ---------------------------------------------------------------- the development kit


@pytest.mark.parametrize("compressed", [True, False])
def test_the_table_of_classes(tmp_path, compressed):
    path = meta(tmp_path / "meta.mat", RECORDS, compressed=compressed)
    assert read_structs(path, "synsets", ("WNID", "ILSVRC2012_ID")) == [(wnid, i) for i, wnid, _ in RECORDS]


def test_a_damaged_table_is_refused_or_read(tmp_path, rng):
    path = meta(tmp_path / "meta.mat", RECORDS, compressed=False)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"meta\.mat"):
            read_structs(path, "synsets", ("WNID", "ILSVRC2012_ID"))
    for _ in range(400):
        damaged = bytearray(whole)
        for at in rng.integers(124, len(whole), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        with suppress(DataError):
            read_structs(path, "synsets", ("WNID", "ILSVRC2012_ID"))


VALIDATION = ("ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG")
CLASSES = {"n02100735": ["n02100735_7.JPEG"], "n02119789": ["n02119789_1.JPEG", "n02119789_3.JPEG"]}
ILSVRC = [CLASSES, {"n02100735": [VALIDATION[0]], "n02119789": [VALIDATION[1]]}]


@pytest.mark.parametrize("form", ["folders", "class tars", "tar of tars"])
def test_ilsvrc_2012_as_it_is_distributed(tmp_path, form):
    devkit(tmp_path)
    if form == "folders":
        write(tmp_path, *(f"train/{wnid}/{name}" for wnid, names in CLASSES.items() for name in names))
        write(tmp_path, *(f"val/{name}" for name in VALIDATION))
    else:
        tars = [tar(tmp_path / f"train/{wnid}.tar", *names) for wnid, names in CLASSES.items()]
        tar(tmp_path / "ILSVRC2012_img_val.tar", *VALIDATION)
    if form == "tar of tars":
        with tarfile.open(tmp_path / "ILSVRC2012_img_train.tar", "w") as outer:
            for path in tars:
                outer.add(path, path.name)
                path.unlink()
        (tmp_path / "train").rmdir()
    source = open_source(tmp_path)
    assert splits(source) == ILSVRC
    assert source.classes == ("English setter", "kit fox")
    assert source.wnids == tuple(CLASSES)


@pytest.mark.parametrize(("text", "message"), [("4\n", "line 1 with class 4"), ("2\nx\n", "line 2 'x'")])
def test_a_ground_truth_that_makes_no_sense(tmp_path, text, message):
    path = devkit(tmp_path)
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(path)


def test_a_ground_truth_without_its_table(tmp_path):
    path = devkit(tmp_path)
    path.with_name("meta.mat").unlink()
    with pytest.raises(DataError, match=r"cannot read .*meta\.mat"):
        read_labels(path)


# ---------------------------------------------------------------- tar files


@pytest.mark.parametrize("prefix", ["", "./", "photos/", "a/b/"])
def test_a_tar_file_is_the_folder_that_it_holds(tmp_path, prefix):
    folder = open_source(write(tmp_path / "photos", *TWO))
    packed = open_source(tar(tmp_path / "photos.tar", *(f"{prefix}{name}" for name in reversed(TWO))))
    assert splits(packed) == splits(folder)
    assert (packed.name, packed.classes) == (folder.name, folder.classes)
    for split in ("train", "val"):
        assert packed.splits[split].fingerprint() != folder.splits[split].fingerprint() or not prefix


@pytest.mark.parametrize("prefix", ["", "photos/"])
@pytest.mark.parametrize(
    "names",
    [
        [f"{split}/{c}/{i}.jpg" for split in ("train", "val") for c in ("plane", "train", "val") for i in range(2)],
        [f"{c}/{i}.jpg" for c in ("plane", "train", "val") for i in range(2)],
    ],
)
def test_a_class_in_a_tar_file_may_be_called_train(tmp_path, names, prefix):
    folder = open_source(write(tmp_path / "photos", *names))
    packed = open_source(tar(tmp_path / "photos.tar", *(prefix + name for name in names)))
    assert packed.classes == folder.classes == ("plane", "train", "val")
    assert splits(packed) == splits(folder)


def test_flat_validation_images_in_a_tar_file_with_a_table(tmp_path):
    path = tar(tmp_path / "a.tar", "train/n1/a.jpg", "train/n2/b.jpg", "val/c.jpg", "val/d.jpg")
    (tmp_path / "table.csv").write_text("file,class\nc.jpg,n2\nd.jpg,n1\n")
    assert splits(open_source(path, labels=tmp_path / "table.csv")) == [
        {"n1": ["a.jpg"], "n2": ["b.jpg"]},
        {"n1": ["d.jpg"], "n2": ["c.jpg"]},
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_letters_of_any_language(tmp_path, form):
    names = ["\N{SNOWMAN}.jpg", f"{'x' * 150}.jpg", "b.jpg"]
    train, val = splits(open_source(tar(tmp_path / "a.tar", *(f"cat/{name}" for name in names), format=form)))
    assert val["cat"] + train["cat"] == sorted(names)


def special(name, kind, target="x"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_links_and_devices_in_a_tar_file_are_refused(tmp_path):
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
    odd = [special(f"cat/odd{number}.jpg", kind) for number, kind in enumerate(kinds)]
    source = open_source(tar(tmp_path / "a.tar", "cat/1.jpg", *odd, "cat/2.jpg"))
    assert len(source) == 2
    reason = "a link, or another thing without bytes of its own"
    assert source.refused == [(f"{tmp_path}/a.tar/cat/odd{number}.jpg", reason) for number in range(4)]


@pytest.mark.parametrize("split", ["", "train/"])
def test_a_class_of_links_in_a_tar_file_does_not_vanish(tmp_path, split):
    images = [f"{split}cat/1.jpg", f"{split}cat/2.jpg", special(f"{split}dog/1.jpg", tarfile.SYMTYPE, "../cat/1.jpg")]
    with pytest.raises(
        DataError, match=r"the class 'dog' in .*a\.tar with nothing but what is left out, .*or more images$"
    ):
        open_source(tar(tmp_path / "a.tar", *images))


def test_a_class_whose_tar_file_holds_links_alone_does_not_vanish(tmp_path):
    tar(tmp_path / "train/n01.tar", "1.jpg", "2.jpg")
    tar(tmp_path / "train/n02.tar", special("1.jpg", tarfile.SYMTYPE, "2.jpg"))
    with pytest.raises(DataError, match="the class 'n02'"):
        open_source(tmp_path / "train")


@pytest.mark.parametrize("name", ["/etc/cat/1.jpg", "../cat/1.jpg", "cat/../../1.jpg"])
def test_members_that_lead_out_of_a_tar_file(tmp_path, name):
    with pytest.raises(DataError, match=r"a\.tar \(the member .* leads out of it\)"):
        open_source(tar(tmp_path / "a.tar", "cat/1.jpg", name))


def test_every_cut_of_a_tar_file_is_told(tmp_path):
    path = tar(tmp_path / "a.tar", *(f"{c}/{i}.jpg" for c in ("cat", "dog") for i in range(2)))
    whole = path.read_bytes()
    for cut in (0, 1, 511, 512, 520, 1023, 1100, 1600, 3000):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError):
            open_source(path)


def test_a_damaged_header_does_not_end_the_list_in_silence(tmp_path):
    path = tar(tmp_path / "a.tar", *(f"cat/{i}.jpg" for i in range(4)))
    content = bytearray(path.read_bytes())
    content[2 * 1024 + 150] ^= 1  # the checksum of the third header
    path.write_bytes(content)
    with pytest.raises(DataError, match="no header at byte 2,048"):
        open_source(path)


def test_a_header_of_a_gigabyte_is_not_read(tmp_path):
    info = special("cat/1.jpg", tarfile.XHDTYPE)
    info.size = 2**30
    (tmp_path / "a.tar").write_bytes(info.tobuf())
    os.truncate(tmp_path / "a.tar", 2**30 + 2048)  # a file with a hole: it takes no room
    with pytest.raises(DataError, match="a header of 1,073,741,824 bytes"):
        open_source(tmp_path / "a.tar")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_tar_files_are_refused(tmp_path, mode):
    path = tmp_path / "a.tar"
    with tarfile.open(path, mode) as file:
        file.addfile(tarfile.TarInfo("cat/1.jpg"))
    with pytest.raises(DataError, match="expected a whole tar file that is not compressed"):
        open_source(path)


# ---------------------------------------------------------------- listings


def test_a_listing_knows_when_its_images_change(tmp_path):
    root = write(tmp_path, *TWO)
    before = open_source(root).splits["train"].fingerprint()
    assert open_source(root).splits["train"].fingerprint() == before
    (root / "train/n01/c.jpg").write_bytes(b"longer than before")
    changed = open_source(root).splits["train"].fingerprint()
    (root / "train/n01/c.jpg").rename(root / "train/n01/z.jpg")
    assert len({before, changed, open_source(root).splits["train"].fingerprint()}) == 3


def test_a_listing_is_small(tmp_path):
    """50 bytes an image and its name."""
    root = write(tmp_path, *(f"cat/{i:020}.jpg" for i in range(500)))
    listing = open_source(root).splits["train"]
    arrays = (listing.ends, listing.place, listing.labels, listing.offsets, listing.sizes)
    assert sum(array.nbytes for array in arrays) + len(listing.names) <= len(listing) * (50 + 24)
    assert all(isinstance(array, np.ndarray) for array in arrays)
