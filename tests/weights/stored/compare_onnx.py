"""Do other programs find the logits that we find? Every variant as an .onnx file, checked and run by onnxruntime.

Run by hand, twice, in the folder tests: python weights/stored/compare_onnx.py write FOLDER, where tinyalex is
installed, and python weights/stored/compare_onnx.py compare FOLDER, where onnx and onnxruntime are.
"""

import sys
from pathlib import Path

import numpy as np

LARGEST = 1e-4  # of the largest logit


def write(folder):
    """The files, and beside each the images and the logits that this program finds."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from caffe_files import small_net
    from tinyalex.spec import VARIANTS
    from tinyalex.weights import onnx_export

    for name in VARIANTS:
        net = small_net(name)
        x = np.random.default_rng(7).normal(0, 60, (3, 3, net.input_size, net.input_size)).astype("f4")
        onnx_export.write(net, folder / f"{name}.onnx")
        np.savez(folder / f"{name}.npz", x=x, logits=net.forward(x))


def compare(folder):
    """Print how far apart the logits are."""
    import onnx
    import onnxruntime

    for path in sorted(folder.glob("*.onnx")):
        onnx.checker.check_model(onnx.load(path), full_check=True)
        with np.load(path.with_suffix(".npz")) as stored:
            [found] = onnxruntime.InferenceSession(path).run(["logits"], {"image": stored["x"]})
            apart = abs(found - stored["logits"]).max() / abs(stored["logits"]).max()
        print(f"{path.stem:20}{apart:.1e}")
        assert apart < LARGEST


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2]))
