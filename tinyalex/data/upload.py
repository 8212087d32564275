"""Stored images on their way to a GPU: they travel as bytes, a quarter of the net's input, and are augmented there.

A GPU copies from pinned memory (pages of the host that stay where they are) while it computes. So worker threads put
each batch into a pinned buffer, a stream of its own copies it, and the stream that computes waits for this copy only.

Axes: n images of a batch, S stored height and width, 3 colours, V views of one image.
"""

from collections import deque
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import (
    Array,
    Event,
    device_scope,
    get_array_module,
    new_stream,
    record_event,
    to_device,
    wait_for_events,
)
from tinyalex.data.augment import Augmenter, Views, augment


class Used(NamedTuple):
    """A pinned buffer that may be filled again after the event `copied`."""

    buffer: NDArray[np.uint8]
    copied: Event


class Upload:
    """Copies batches to a GPU, and augments them there on the current stream of the thread that calls `augmented`.

    Worker threads call `stage` for later batches meanwhile; the host's buffers are kept and filled again. On the GPU
    there is one batch of bytes: the next one is copied as soon as this one is augmented, while the net computes.
    """

    def __init__(self, augmenter: Augmenter, device: str) -> None:
        self._augmenter, self._device = augmenter, device
        self._mean = to_device(augmenter.mean, device)
        self._stream: Any = new_stream(device)  # for copies
        self._augmented = record_event(device)  # what was queued before this may still read memory of the stream
        self._used: deque[Used] = deque()  # the oldest first

    def stage(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Stored images (n, S, S, 3) in a pinned buffer. Any thread may call it.

        Raises ShapeError if the images do not have the size of the mean image.
        """
        self._augmenter.check(images)
        with device_scope(self._device):  # in a new thread CUDA would set up another GPU, the first one, too
            buffer = self._free_buffer()
            if buffer is None or buffer.shape != images.shape:
                buffer = import_module("cupyx").empty_pinned(images.shape, np.uint8)
        np.copyto(buffer, images)
        return buffer

    def _free_buffer(self) -> NDArray[np.uint8] | None:
        """The buffer that was used first, after its copy to the GPU; None if there is none."""
        try:
            used = self._used.popleft()
        except IndexError:
            return None
        used.copied.synchronize()
        return used.buffer

    def augmented(self, staged: NDArray[np.uint8], views: Views) -> Array:
        """The buffer of `stage`, as `views` say -> (n*V, 3, crop, crop) float32 on the GPU; the host does not wait."""
        device = self._device
        with device_scope(device):
            with self._stream:
                wait_for_events([self._augmented], device)  # only then is the memory of the last batch free
                images = get_array_module(self._mean).empty(staged.shape, np.uint8)
                images.set(staged, stream=self._stream)
                copied = record_event(device)
            wait_for_events([copied], device)
            tops, lefts, mirrored, noise = (to_device(array, device) for array in views.arrays)
            y = augment(self._mean, images, tops, lefts, mirrored, noise, self._augmenter.crop, views.scale)
            self._augmenter.even_out(y)
            self._augmented = record_event(device)
        self._used.append(Used(staged, copied))
        return y

    def close(self) -> None:
        """Wait for the last copy, as the buffers are freed afterwards."""
        if self._used:
            self._used[-1].copied.synchronize()
