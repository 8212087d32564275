"""Batches on a GPU: the same bits as on the CPU, in time, in the order of the streams, and without waiting."""

import threading

import numpy as np
import pytest

import standin
from runs import images
from tinyalex.backend import device_of, to_numpy, use_threads
from tinyalex.data import ArrayDataset, Augmenter, batches, evaluation_batches, pixel_statistics
from tinyalex.data.upload import Upload
from tinyalex.errors import ShapeError, UsageError

SETTINGS = {
    "the paper's": {},
    "cuda-convnet's noise, scaled": {"colour": "cuda-convnet", "pixel_scale": 50.0},
    "a scale for each colour": {"pixel_scale": (58.395, 57.12, 57.375)},
    "off": {"crops": False, "reflections": False, "colour": "off"},
}


@pytest.fixture(scope="module")
def data():
    return images(41, size=9)


def only_standin(gpu):
    if not gpu.is_standin:
        pytest.skip("only the stand-in tells which stream waits for what")


def strides(array):
    """Those of the axes that are longer than 1: NumPy and CuPy give the others different ones."""
    return [stride for size, stride in zip(array.shape, array.strides, strict=True) if size > 1]


def same_batches(on_gpu, on_cpu, device):
    """Bit for bit, and on the device."""
    for (x, labels), (right, right_labels) in zip(on_gpu, on_cpu, strict=True):
        assert device_of(x) == device
        np.testing.assert_array_equal(to_numpy(x), right)
        np.testing.assert_array_equal(labels, right_labels)
        assert strides(x) == strides(right)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("settings", list(SETTINGS))
def test_training_batches_are_those_of_the_cpu(gpu, data, settings, workers):
    augmenter = Augmenter(pixel_statistics(data), 6, **SETTINGS[settings])
    on_cpu = batches(data, augmenter, 8, seed=1, epoch=2, start=1)
    on_gpu = batches(data, augmenter, 8, seed=1, epoch=2, start=1, device=gpu.two[1], workers=workers)
    same_batches(on_gpu, on_cpu, gpu.two[1])


@pytest.mark.parametrize("views", ["centre", "ten"])
def test_evaluation_batches_are_those_of_the_cpu(gpu, data, views):
    """41 images in batches of 8: the last batch is of one image."""
    augmenter = Augmenter(pixel_statistics(data), 6, pixel_scale=64.0)
    on_cpu = evaluation_batches(data, augmenter, 8, views)
    same_batches(evaluation_batches(data, augmenter, 8, views, device=gpu.two[0]), on_cpu, gpu.two[0])


def test_batches_that_are_kept_stay_as_they_are(gpu, data):
    """Buffers are used again, but not those that somebody has."""
    augmenter = Augmenter(pixel_statistics(data), 6)
    kept = [list(batches(data, augmenter, 4, seed=1, epoch=0, device=where)) for where in (gpu.two[0], None)]
    same_batches(*kept, gpu.two[0])


def test_a_part_of_each_batch(gpu, data):
    augmenter, share = Augmenter(pixel_statistics(data), 6), lambda count: slice(count // 2, count)
    on_gpu, on_cpu = (
        batches(data, augmenter, 7, seed=1, epoch=0, share=share, device=where) for where in (gpu.two[0], None)
    )
    same_batches(on_gpu, on_cpu, gpu.two[0])


def test_the_thread_that_computes_does_not_wait(gpu, data):
    only_standin(gpu)
    upload = Upload(Augmenter(pixel_statistics(data), 6), gpu.two[0])
    staged = [upload.stage(data.images[i : i + 8]) for i in (0, 8, 16)]
    with standin.unsynchronised() as waited:
        for one in staged:
            upload.augmented(one, upload._augmenter.centre_views(8))
    assert waited == []


def test_a_copy_does_not_wait_for_the_net(gpu, data):
    """Only for the batch before to be augmented, as its bytes lay in the same memory."""
    only_standin(gpu)
    upload = Upload(Augmenter(pixel_statistics(data), 6), gpu.two[0])
    net, clocks = gpu.cupy.cuda.get_current_stream(), []
    for first in (0, 8, 16):
        x = upload.augmented(upload.stage(data.images[first : first + 8]), upload._augmenter.centre_views(8))
        augmented = net.clock[net.number]
        x += 1  # the net computes
        clocks.append((augmented, net.clock[net.number]))
        assert augmented < net.clock[net.number]
    seen = upload._stream.clock[net.number]  # what the last copy has waited for
    assert clocks[1][0] <= seen < clocks[1][1]


def test_the_hosts_buffers_are_used_again(gpu, data, monkeypatch):
    only_standin(gpu)
    made, pinned = [], standin.cupyx.empty_pinned

    def counted(*args):
        made.append(args)
        return pinned(*args)

    monkeypatch.setattr(standin.cupyx, "empty_pinned", counted)
    augmenter = Augmenter(pixel_statistics(data), 6)
    done = sum(1 for _ in batches(data, augmenter, 2, seed=0, epoch=0, device=gpu.two[0], workers=2, depth=3))
    assert done == 20
    assert len(made) <= 5  # three ahead, one on its way, one being filled


def test_a_buffer_is_filled_after_its_copy_only(gpu, data):
    """The stand-in knows that the host has not waited for a copy, and refuses to fill the buffer."""
    only_standin(gpu)
    upload = Upload(Augmenter(pixel_statistics(data), 6), gpu.two[0])
    staged = upload.stage(data.images[:8])
    upload.augmented(staged, upload._augmenter.centre_views(8))
    with pytest.raises(standin.RaceError, match=r"the host writes pinned memory that stream .* may still be copying"):
        staged[0] = 1
    assert upload.stage(data.images[8:16]) is staged  # waits for the copy


@pytest.mark.parametrize("sizes", [(8, 1), (1, 8), (8, 3, 8)])
def test_batches_of_several_sizes(gpu, data, sizes):
    """One after the other, so that each finds the buffer of the one before."""
    augmenter = Augmenter(pixel_statistics(data), 6)
    upload = Upload(augmenter, gpu.two[0])
    for size in sizes:
        x = upload.augmented(upload.stage(data.images[:size]), augmenter.ten_views(size))
        np.testing.assert_array_equal(to_numpy(x), augmenter.ten_crops(data.images[:size]).reshape(x.shape))


def test_images_of_another_size(gpu, data):
    augmenter = Augmenter(pixel_statistics(images(4, size=8)), 6)
    with pytest.raises(ShapeError, match=r"expected \(n, 8, 8, 3\), as the mean has"):
        next(batches(data, augmenter, 8, seed=0, epoch=0, device=gpu.two[0]))


def test_closing_early_ends_the_threads_and_the_copies(gpu, data):
    before = threading.enumerate()
    made = batches(data, Augmenter(pixel_statistics(data), 6), 2, seed=0, epoch=0, device=gpu.two[0], workers=2)
    next(made)
    assert set(threading.enumerate()) - set(before)
    made.close()
    assert not [thread for thread in threading.enumerate() if thread not in before]
    if gpu.is_standin:
        assert standin.SYNCS[-1] == "Event.synchronize"


class Crowd(ArrayDataset):
    """Its `read` notes how many threads are in it at the same time, and waits for the others that are expected."""

    def __init__(self, whole, expected):
        super().__init__("crowd", whole.images, whole.labels, whole.classes)
        self.meeting = threading.Barrier(expected, timeout=10)

    def read(self, indices):
        self.meeting.wait()
        return super().read(indices)


def test_a_thread_for_each_core_reads(gpu, data):
    """Three of three: more than the one thread that a net on the CPU leaves to its images."""
    augmenter = Augmenter(pixel_statistics(data), 6)
    with use_threads(3):
        made = batches(Crowd(data, 3), augmenter, 6, seed=0, epoch=0, device=gpu.two[0])
    assert len(list(made)) == 6


def test_a_name_of_no_device_is_refused_at_once(data):
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        batches(data, Augmenter(pixel_statistics(data), 6), 8, seed=0, epoch=0, device="gpu")


def test_names_of_the_cpu_give_numpys_arrays(data):
    augmenter = Augmenter(pixel_statistics(data), 6)
    for device in ("cpu", "cpu:1"):
        x, _ = next(batches(data, augmenter, 8, seed=0, epoch=0, device=device))
        assert isinstance(x, np.ndarray)
