"""Writes the files of PyTorch and safetensors in this folder, and torch.npz: what torchvision makes of them.

    python tests/weights/stored/make_torch.py      in an environment with torch, torchvision and safetensors

The net is torchvision's AlexNet with 6 kernels or units a layer, 5 classes, and random weights.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
try:
    import torchvision
except RuntimeError:  # its compiled part is of another build than PyTorch; none of it is needed here
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

Weights = torchvision.models.AlexNet_Weights.IMAGENET1K_V1


def narrow(units=6, classes=5):
    """torchvision.models.AlexNet with another number of kernels, units and classes."""
    net = torchvision.models.alexnet(weights=None, num_classes=classes)
    seen = 3
    for layers, kind in ((net.features, nn.Conv2d), (net.classifier, nn.Linear)):
        for place, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                layers[place] = nn.Conv2d(seen, units, layer.kernel_size, layer.stride, layer.padding)
            elif isinstance(layer, nn.Linear):
                last = place == len(layers) - 1
                layers[place] = nn.Linear(seen, classes if last else units)
            seen = units if isinstance(layers[place], kind) else seen
        seen = units * 36
    for w in net.parameters():
        nn.init.normal_(w, std=1.4 / w[0].numel() ** 0.5)
    return net.eval()


def picture(width, height):
    """A smooth picture of random colours."""
    rng = np.random.default_rng([width, height])
    return Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def main():
    torch.manual_seed(1)
    net = narrow()
    state = net.state_dict()
    flat = torch.cat([w.flatten() for w in state.values()])  # all parameters in one storage, one after the other
    ends = np.cumsum([w.numel() for w in state.values()])
    shared = {
        name: flat[end - w.numel() : end].view(w.shape) for (name, w), end in zip(state.items(), ends, strict=True)
    }
    turned = {name: w.to(memory_format=torch.channels_last) if w.ndim == 4 else w for name, w in state.items()}
    parallel = {"epoch": 7, "state_dict": nn.DataParallel(net).state_dict(), "optimizer": {"state": {0: {"step": 3}}}}
    old = {"_use_new_zipfile_serialization": False}
    torch.save(state, HERE / "zip.pth")
    torch.save(state, HERE / "old.pth", **old)
    torch.save({name: w.half() for name, w in state.items()}, HERE / "half.pth")
    torch.save({name: w.bfloat16() for name, w in state.items()}, HERE / "bfloat16-old.pth", **old)
    torch.save(shared, HERE / "shared.pth")
    torch.save(turned, HERE / "channels-last-old.pth", **old)
    torch.save(parallel, HERE / "checkpoint.pth")
    torch.save(net, HERE / "whole.pth")
    save_file(state, HERE / "torch.safetensors")
    save_file({name: w.bfloat16() for name, w in state.items()}, HERE / "bfloat16.safetensors")

    image = picture(50, 40)
    image.save(HERE / "picture.png")
    outputs = {
        "file": image,
        **{f"{w}x{h}": picture(w, h) for w, h in ((48, 31), (31, 50), (121, 20), (18, 18), (123, 20))},
    }
    transforms = Weights.transforms()
    with torch.no_grad():
        found = {"logits": net(transforms(image)[None]).numpy()}
        rounded = narrow()
        for kind in ("half", "bfloat16"):
            rounded.load_state_dict({name: getattr(w, kind)().float() for name, w in state.items()})
            found[kind] = rounded(transforms(image)[None]).numpy()
    small = torchvision.transforms.Compose([torchvision.transforms.Resize(20), torchvision.transforms.CenterCrop(16)])
    pictures = {f"picture {name}": np.array(one) for name, one in outputs.items()}
    crops = {f"crop {name}": np.array(small(one)) for name, one in outputs.items()}
    np.savez_compressed(HERE / "torch.npz", **found, **pictures, **crops)


if __name__ == "__main__":
    main()
