"""Trained AlexNets that many people have, by name: where each comes from, how to know it, how well it does.

None comes with this package, and nothing is fetched unless somebody asks for it. A file that is there already is found
in the folder TINYALEX_WEIGHTS, in the folders in it, or in the cache folder.

Sources: the readme files of Caffe's models bvlc_alexnet and bvlc_reference_caffenet (checksums, accuracies), the
documentation of torchvision, the readme file and the Git LFS pointer of the ONNX model zoo. A torchvision file's name
has the first eight digits of its SHA-256. The checksum of bvlc_alexnet.npy is that of a public list of downloads; its
author published none. No accuracy was measured here.
"""

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinyalex.data.download import fetch, in_cache
from tinyalex.errors import CheckpointError
from tinyalex.files import at_home
from tinyalex.weights.pixels import Given

ENVIRONMENT = "TINYALEX_WEIGHTS"
CAFFE, TORCH = "http://dl.caffe.berkeleyvision.org", "https://download.pytorch.org/models"
CAFFE_MEAN = "ilsvrc_2012_mean.npy"


@dataclass(frozen=True)
class Known:
    """A file that many people have.

    name: ours.   file: its own name.   url: its address.   checksum: such as "sha1:9116...", or None if nobody has
    published one.   megabytes: its size, about.   licence: of the parameters.
    variant: the net, "" for a mean image.   top1, top5: the published accuracy on the validation images of ILSVRC-2012,
    in percent, of the central crop; None if there is none.   given: how its images are prepared, where that is not as
    for other files of its kind.
    """

    name: str
    file: str
    url: str
    checksum: str | None
    megabytes: int | None
    licence: str
    variant: str
    top1: float | None = None
    top5: float | None = None
    given: Given = field(default_factory=Given)

    def find(self) -> Path | None:
        """The file, if it is in one of the folders; None if not."""
        for folder in folders():
            for path in (folder / self.file, *sorted(folder.glob(f"*/{self.file}"))):
                if path.is_file():
                    return path
        return None

    def fetch(self) -> Path:
        """The file, downloaded into the cache folder if it is not there. Raises DataError if that fails."""
        return self.find() or fetch(self.url, self.checksum, in_cache("weights") / self.file)

    def check(self, path: Path) -> str:
        """What shows that `path` is this file: "sha256 7be5be79...". Raises CheckpointError if it is another one."""
        if self.checksum is None:
            return "no checksum is known"
        kind, _, expected = self.checksum.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found != expected:
            raise CheckpointError(f"got {path} with the {kind} {found}: expected {expected}; download it again")
        return f"{kind} {found}"


KNOWN: dict[str, Known] = {
    known.name: known
    for known in (
        Known(
            "torchvision",
            "alexnet-owt-7be5be79.pth",
            f"{TORCH}/alexnet-owt-7be5be79.pth",
            "sha256:7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            244,
            "BSD-3",
            "torchvision",
            56.522,
            79.066,
        ),
        Known(
            "torchvision-old",
            "alexnet-owt-4df8aa71.pth",
            f"{TORCH}/alexnet-owt-4df8aa71.pth",
            "sha256:4df8aa717fd11ab2d34e9483c5984ef7cdbefd732366a836076020db08909c9a",
            244,
            "BSD-3",
            "torchvision",
            56.55,
            79.09,
        ),
        Known(
            "bvlc_alexnet",
            "bvlc_alexnet.caffemodel",
            f"{CAFFE}/bvlc_alexnet.caffemodel",
            "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
            244,
            "unrestricted",
            "caffe",
            57.1,
            80.2,
        ),
        Known(
            "bvlc_reference_caffenet",
            "bvlc_reference_caffenet.caffemodel",
            f"{CAFFE}/bvlc_reference_caffenet.caffemodel",
            "sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
            244,
            "unrestricted",
            "caffenet",
            57.4,
            80.4,
        ),
        Known(
            "bvlc_alexnet.npy",
            "bvlc_alexnet.npy",
            "http://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy",
            "sha256:1294ef51496c52f2e4879ee3b5e1da22c35d61f3240937491b4469403d5428cc",
            244,
            "none named",
            "caffe",
            None,
            79.84,
        ),
        Known(
            "bvlcalexnet-12",
            "bvlcalexnet-12.onnx",
            "https://github.com/onnx/models/raw/main/validated/vision/classification/alexnet/model/bvlcalexnet-12.onnx",
            "sha256:6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
            244,
            "BSD-3",
            "caffe",
            54.80,
            78.23,
            # The published accuracy is that of whole pictures squeezed into 224 x 224 pixels.
            Given(mean=(123.68, 116.779, 103.939), colours="BGR", rule="warp", size=224),
        ),
        Known(
            "ilsvrc_2012_mean",
            CAFFE_MEAN,
            f"https://github.com/BVLC/caffe/raw/master/python/caffe/imagenet/{CAFFE_MEAN}",
            None,
            None,
            "BSD-2",
            "",
        ),
    )
}


def folders() -> list[Path]:
    """The folders that are searched: TINYALEX_WEIGHTS, if it is set, then the cache folder."""
    own = os.environ.get(ENVIRONMENT)
    return [*([at_home(own)] if own else []), in_cache("weights")]


def known_as(name: str) -> Known | None:
    """The known file of that name, ours or its own; None if there is none."""
    return next((known for known in KNOWN.values() if name in (known.name, known.file)), None)


def locate(path_or_name: str | Path) -> Path:
    """The file that is meant: a path is returned as it is, and a name becomes the path of the known file.

    Raises CheckpointError for a name that nobody knows, and for a known file that is not here; it says how to get it.
    """
    path = Path(path_or_name)
    known = None if path.exists() else known_as(str(path_or_name))
    if known is None:
        if not (path.exists() or path.suffix or len(path.parts) > 1):
            raise CheckpointError(f"got {path}, which does not exist: expected a file, or one of {', '.join(KNOWN)}")
        return path
    found = known.find()
    if found is None:
        raise CheckpointError(
            f"got {known.name}, which is not here: expected {known.file} in {' or '.join(map(str, folders()))}; run "
            f"tinyalex weights --fetch {known.name}, or download {known.url} in a browser and put it there"
        )
    return found


def with_known(path: Path, given: Given) -> Given:
    """What is given of the file at `path`; the rest as it is known of a file of that name."""
    known = known_as(path.name)
    if known is None:
        return given
    own = {name: value for name, value in vars(given).items() if value not in (None, ())}
    return replace(known.given, **own)
