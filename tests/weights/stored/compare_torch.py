"""Compares this project with torchvision on photographs, both ways: their files here, our files there.

    python tests/weights/stored/compare_torch.py --torch PYTHON --photos FOLDER     in this project's environment

PYTHON is the interpreter of an environment with torch, torchvision and safetensors. The weights are random, the logits
those of 20 photographs, from the files of the photographs on: so their preparation is compared too.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PHOTOS = 20
TOLERANCE = 1e-4  # of the largest logit
THEIRS = {"zip": "theirs-zip.pth", "old": "theirs-old.pth", "safetensors": "theirs.safetensors"}
OURS = "ours.safetensors"


def photos_in(folder):
    """The first photographs by name."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    return found[:PHOTOS]


def difference(found, expected):
    """The largest difference of logits, in shares of the largest logit."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# ---------------------------------------------------------------- in the environment with PyTorch


def logits_there(net, photos):
    import torch
    from make_torch import Weights
    from PIL import Image

    transforms = Weights.transforms()
    with torch.no_grad():
        return np.stack([net(transforms(Image.open(path).convert("RGB"))[None])[0].numpy() for path in photos])


def write_theirs(folder, photos):
    """A net in all forms, and its logits."""
    import torch
    from make_torch import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = torchvision.models.alexnet(weights=None).eval()
    torch.save(net.state_dict(), folder / THEIRS["zip"])
    torch.save(net.state_dict(), folder / THEIRS["old"], _use_new_zipfile_serialization=False)
    save_file(net.state_dict(), folder / THEIRS["safetensors"])
    np.save(folder / "theirs.npy", logits_there(net, photos))


def read_ours(folder, photos):
    """The logits of our net in torchvision's."""
    from make_torch import torchvision
    from safetensors.torch import load_file

    net = torchvision.models.alexnet(weights=None).eval()
    net.load_state_dict(load_file(folder / OURS))
    np.save(folder / "ours-there.npy", logits_there(net, photos))


# ---------------------------------------------------------------- in this project's environment


def logits_here(found, photos):
    from tinyalex.data import prepare_image, read_image
    from tinyalex.training.evaluate import augmenter_for, preparation_for

    stored = np.stack([prepare_image(read_image(path), preparation_for(found)) for path in photos])
    return found.net.forward(augmenter_for(found).centre(stored))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", type=Path, help="the interpreter of the other environment")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--there", choices=["write_theirs", "read_ours"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    photos = photos_in(words.photos)
    if words.there:
        globals()[words.there](words.folder, photos)
        return 0
    with tempfile.TemporaryDirectory() as name:
        return compare(words, Path(name), photos)


def compare(words, folder, photos):
    """Print a line for each file -> the exit code."""
    import tinyalex
    from tinyalex import AlexNet
    from tinyalex.weights import read

    def there(step):
        command = [words.torch, __file__, "--photos", words.photos, "--there", step, "--folder", folder]
        subprocess.run(command, check=True)

    there("write_theirs")
    expected = np.load(folder / "theirs.npy")
    differences = {
        f"theirs, {form}": difference(logits_here(read(folder / file), photos), expected)
        for form, file in THEIRS.items()
    }
    net = AlexNet("torchvision", seed=1)
    tinyalex.save(net, folder / OURS)
    there("read_ours")
    # A file of our own says nothing of pixels; in torchvision's they are prepared as there.
    found = read(folder / THEIRS["zip"])
    found.net = net
    differences["ours, safetensors"] = difference(logits_here(found, photos), np.load(folder / "ours-there.npy"))
    for what, found in differences.items():
        print(f"{what:20} {found:.1e} of the largest logit, on {len(photos)} photographs")
    return int(max(differences.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
