"""ILSVRC-2012, small, in the formats of the real files: the development kit, and the tar files of the images."""

import io
import struct
import tarfile
import zlib


def element(kind, data):
    if 0 < len(data) <= 4:
        return struct.pack("<HH", kind, len(data)) + data.ljust(4, b"\0")
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(kind, shape, name, *content):
    flags = element(6, struct.pack("<II", kind, 0))
    parts = (flags, element(5, struct.pack(f"<{len(shape)}i", *shape)), element(1, name.encode()), *content)
    return element(14, b"".join(parts))


def meta(path, records, *, compressed=True):
    """meta.mat as MATLAB writes it: structs with a number in the smallest type that holds it, and texts in UTF-16."""
    fields = b"".join(name.ljust(16, b"\0") for name in (b"ILSVRC2012_ID", b"WNID", b"words"))
    values = b"".join(
        matrix(6, (1, 1), "", element(2 if number < 256 else 4, number.to_bytes(1 + (number > 255), "little")))
        + b"".join(matrix(4, (1, len(text)), "", element(4, text.encode("utf-16-le"))) for text in texts)
        for number, *texts in records
    )
    array = matrix(2, (len(records), 1), "synsets", element(5, struct.pack("<i", 16)), element(1, fields), values)
    other = matrix(6, (1, 1), "other", element(9, struct.pack("<d", 1.5)))
    if compressed:
        array, other = (struct.pack("<II", 15, len(z)) + z for z in map(zlib.compress, (array, other)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + other + array)
    return path


RECORDS = [(1, "n02119789", "kit fox, Vulpes macrotis"), (2, "n02100735", "English setter"), (300, "n01", "entity")]


def devkit(root, truth="2\n1\n"):
    data = root / "ILSVRC2012_devkit_t12/data"
    meta(data / "meta.mat", RECORDS)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    return data / "ILSVRC2012_validation_ground_truth.txt"


def tar_of(members):
    """The bytes of a tar file of these members, {name: bytes}."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return made.getvalue()


def ilsvrc(root, train, val):
    """What one downloads, with the kit unpacked: {wnid: JPEG files} to train on, [(number of the class, JPEG file)]."""
    devkit(root, "".join(f"{number}\n" for number, _ in val))
    classes = {
        f"{wnid}.tar": tar_of({f"{wnid}_{number}.JPEG": jpeg for number, jpeg in enumerate(jpegs, start=1)})
        for wnid, jpegs in train.items()
    }
    (root / "ILSVRC2012_img_train.tar").write_bytes(tar_of(classes))
    names = (f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, len(val) + 1))
    content = {name: jpeg for name, (_, jpeg) in zip(names, val, strict=True)}
    (root / "ILSVRC2012_img_val.tar").write_bytes(tar_of(content))
