"""A net as a .safetensors file, written with the library safetensors, for programs such as PyTorch.

The parameters have the names that they have in a PyTorch net of two nn.Sequential, "features" and "classifier", which
have our layers in our order. Those of the variant torchvision are the names of torchvision.models.alexnet.
"""

from pathlib import Path

import numpy as np

from tinyalex.backend import to_numpy
from tinyalex.errors import CheckpointError
from tinyalex.files import replacing
from tinyalex.net import AlexNet
from tinyalex.weights.formats.safetensors import ABOUT
from tinyalex.weights.layouts import Layout, positions


def write(net: AlexNet, path: str | Path, about: str = "") -> None:
    """Write the net to `path`. An existing file stays whole until the new one is complete, then is replaced.

    about: the text that describes the net in full, by which `tinyalex.load` restores it.
    Raises CheckpointError if the library is not installed.
    """
    try:
        from safetensors.numpy import save
    except ImportError:
        raise CheckpointError(
            f"got {path}: expected the library safetensors, which writes it; pip install safetensors"
        ) from None
    names = Layout(positions).names(net.spec)
    # The library takes the bytes as they lie in memory, whatever the strides say.
    arrays = {theirs: np.ascontiguousarray(to_numpy(net.params[ours])) for ours, theirs in names.items()}
    metadata = {"format": "pt"} | ({ABOUT: about} if about else {})
    with replacing(Path(path)) as file:
        file.write(save(arrays, metadata))
