"""Nets on one GPU and on two: the same numbers as on the CPU, no waiting in a step, streams in order.

They run on the stand-in for CuPy, which refuses to mix devices and finds races between streams; with `pytest -m gpu`
they run on GPUs.
"""

import dataclasses
import math
import shutil

import numpy as np
import pytest

import standin
from cases import small_net
from runs import TINY, images, settings, slim, started
from tinyalex import SGD, AlexNet, load, save
from tinyalex.backend import device_of, device_scope, devices, gpu_count, new_stream, to_device, to_numpy, use_kernels
from tinyalex.columns import TwoDevices
from tinyalex.errors import DivergenceError, UsageError
from tinyalex.layers import Dropout
from tinyalex.spec import variant
from tinyalex.training.loop import Progress, Training
from tinyalex.training.saves import CHECKPOINT
from tinyalex.weights.checkpoint import read

PLACES = ["one", "one of two", "two", "both on one", "with the CPU", "beside the CPU"]


@pytest.fixture
def place(request, gpu):
    """The names of the devices that a net is put on."""
    first, second = gpu.two
    return {
        "one": first,
        "one of two": (second,),
        "two": (first, second),
        "both on one": (second, second),
        "with the CPU": (first, "cpu:0"),
        "beside the CPU": ("cpu:0", second),
    }[request.param]


def steps(spec, place, count=3, dtype="float64", **given):
    """All arrays after some steps of training with dropout, as NumPy arrays."""
    net = AlexNet(spec, num_classes=5, seed=2, dtype=dtype, devices=place, **given)
    sgd = SGD(net)
    rng = np.random.default_rng(4)
    x = rng.standard_normal((4, 3, net.input_size, net.input_size)).astype(dtype)
    labels = rng.integers(0, 5, 4)
    found = {}
    for step in range(count):
        found[f"loss {step}"] = np.array(float(net.loss(x, labels, train=True)))
        found["dx"] = net.backward(net.criterion.backward())
        sgd.step()
    found |= {"logits": net.forward(x), "p": net.predict(x), "pool2": net.forward(x, upto="pool2")}
    for kind, arrays in (("params", net.params), ("grads", net.grads), ("velocity", sgd.velocity)):
        found |= {f"{kind} {name}": array for name, array in arrays.items()}
    return {name: to_numpy(array) for name, array in found.items()}


def assert_same(found, expected, tolerance):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert np.linalg.norm(found[name] - array) <= tolerance * max(np.linalg.norm(array), 1e-3), name


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("kernels", ["auto", "reference"])
@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_a_gpu_computes_what_the_cpu_does(place, kernels):
    """To 1e-12: losses, logits, every gradient, parameter and velocity, after three steps with dropout."""
    with use_kernels("reference"):
        expected = steps(TINY, None)
    assert_same(steps(TINY, place, kernels=kernels), expected, 1e-12)


@pytest.mark.parametrize(
    ("name", "size", "cross_columns"),
    [("paper", 99, (3,)), ("mini", 16, (4,)), ("mini", 16, (2, 3, 4, 5)), ("cuda-convnet", 67, (3,))],
)
@pytest.mark.parametrize("place", ["one", "two"], indirect=True)
def test_other_nets(place, name, size, cross_columns):
    spec = dataclasses.replace(slim(variant(name)), input_size=size)
    assert_same(
        steps(spec, place, count=2, cross_columns=cross_columns),
        steps(spec, None, count=2, cross_columns=cross_columns),
        1e-12,
    )


@pytest.mark.parametrize("place", ["one", "two"], indirect=True)
def test_float32(place):
    assert_same(steps(TINY, place, dtype="float32"), steps(TINY, None, dtype="float32"), 1e-4)


@pytest.mark.parametrize("reachable", [True, False])
def test_from_card_to_card_and_through_the_host(gpu, reachable):
    """If two cards cannot copy directly, the halves go through the memory of the host."""
    if gpu.is_standin and not reachable:
        standin.unreachable.add(frozenset((0, 1)))
    assert_same(steps(TINY, gpu.two), steps(TINY, None), 1e-12)


def test_through_the_host_in_the_sources_stream(gpu, monkeypatch):
    """Of two cards that cannot reach each other, the source copies to the host, in its own stream."""
    if not gpu.is_standin:
        pytest.skip("only the stand-in can keep two cards apart")
    standin.unreachable.add(frozenset((0, 1)))
    streams, get = [], gpu.cupy.ndarray.get

    def noted(self, stream=None, **given):
        streams.append(stream)
        return get(self, stream=stream, **given)

    monkeypatch.setattr(gpu.cupy.ndarray, "get", noted)
    with device_scope(gpu.two[0]), new_stream(gpu.two[0]) as current:
        there = to_device(to_device(np.arange(6.0), gpu.two[0]), gpu.two[1])
    assert streams == [current]
    np.testing.assert_array_equal(to_numpy(there), np.arange(6.0))


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_a_copy_keeps_numbers_and_order_in_memory(gpu, order):
    x = np.arange(120.0).reshape(2, 3, 4, 5).transpose(order)
    there = to_device(x, gpu.two[1])
    assert device_of(there) == gpu.two[1]
    assert there.strides == x.strides
    back = to_device(there, gpu.two[0])
    assert back.strides == x.strides
    np.testing.assert_array_equal(to_numpy(back), x)
    assert to_device(back, gpu.two[0]) is back


@pytest.mark.parametrize("shape", [(), (7,), (0, 3), (2, 1, 3)])
def test_a_copy_of_any_shape(gpu, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    for device in gpu.two:
        np.testing.assert_array_equal(to_numpy(to_device(to_device(x, gpu.two[0]), device)), x)


def test_parts_are_copied_as_parts(gpu):
    x = to_device(np.arange(24.0).reshape(2, 3, 4), gpu.two[0])
    part = to_device(x[:, ::2, 1:3], gpu.two[1])
    np.testing.assert_array_equal(to_numpy(part), np.arange(24.0).reshape(2, 3, 4)[:, ::2, 1:3])


def test_the_source_is_not_overwritten_before_it_is_copied(gpu):
    """Its memory may be reused as soon as it is freed."""
    x = to_device(np.arange(6.0).reshape(2, 3), gpu.two[0])
    there = to_device(x, gpu.two[1])
    packed = to_device(x[:, 1:].T, gpu.two[1])
    del x
    with devices.device_scope(gpu.two[0]):
        for _ in range(3):
            gpu.cupy.zeros((2, 3))
    np.testing.assert_array_equal(to_numpy(there), np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(to_numpy(packed), [[1, 4], [2, 5]])


# ---------------------------------------------------------------- nothing waits


@pytest.mark.parametrize("place", ["one", "one of two", "two", "both on one"], indirect=True)
@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_no_step_waits_for_the_gpu(place, gpu, kernels):
    """In forward, loss, backward and update the host only fills the streams. Real CuPy does not report waits."""
    if not gpu.is_standin:
        pytest.skip("only the stand-in counts what makes the host wait")
    net = AlexNet(TINY, num_classes=5, devices=place, kernels=kernels)
    sgd, x, labels = SGD(net), np.zeros((4, 3, 16, 16), "float32"), np.array([0, 3, 1, 4])
    with standin.unsynchronised() as waited:
        for _ in range(2):
            loss = net.loss(x, labels, train=True)
            net.backward(net.criterion.backward(), input_gradient=False)
            sgd.step()
    assert waited == []
    assert device_of(loss) == net.device
    assert loss.shape == ()
    float(loss)
    assert standin.SYNCS[-1] == "float"


def test_labels_on_the_gpu_are_checked_too(gpu):
    net, x, _ = small_net(devices=gpu.two[0])
    net.loss(x, to_device(np.array([0, 2]), gpu.two[0]))
    with pytest.raises(ValueError, match="got labels from 0 to 3"):
        net.loss(x, to_device(np.array([0, 3]), gpu.two[0]))


# ---------------------------------------------------------------- training, and files


def trained(tmp_path, name, **given):
    training = started(tmp_path / name, **given)
    training.run()
    return training


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(variant.__globals__["VARIANTS"], "tiny", TINY)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("place", ["one of two", "two"], indirect=True)
def test_a_run_and_its_resumption(tmp_path, place, monkeypatch):
    """Losses are read every third step; the run is the same as on the CPU, and can be resumed on either device."""
    monkeypatch.setattr("tinyalex.training.losses.READ_EVERY", 3)
    place = (place,) if isinstance(place, str) else place
    there, here = trained(tmp_path, "there", devices=place, save_every=100), trained(tmp_path, "here", save_every=100)
    for mine, right in zip(there.history, here.history, strict=True):
        for key in ("train_loss", "train_top1_error", "val_loss", "val_top1_error"):
            assert mine[key] == pytest.approx(right[key], rel=1e-3), key
    for name, w in here.net.params.items():
        np.testing.assert_allclose(to_numpy(there.net.params[name]), w, rtol=1e-3, atol=1e-5)
    for goes_on, where in (("here again", None), ("there again", place)):
        shutil.copytree(tmp_path / "there", tmp_path / goes_on)
        checkpoint = read(tmp_path / goes_on / CHECKPOINT)
        for name, v in checkpoint.velocity.items():
            np.testing.assert_array_equal(v, to_numpy(there.optimizer.velocity[name]))
        again = Training.resume(
            checkpoint,
            settings(devices=where, epochs=4, save_every=100),
            images(36),
            images(20, seed=1),
            tmp_path / goes_on,
        )
        again.run()
        assert [record["epoch"] for record in again.history] == [1, 2, 3, 4]
        assert again.history[-1]["train_loss"] < again.history[0]["train_loss"]


@pytest.mark.usefixtures("tiny")
def test_a_run_that_diverges_is_told_when_the_losses_are_read(tmp_path, gpu):
    training = started(tmp_path / "run", devices=(gpu.two[0],), lr=1e30, save_every=100)
    with pytest.raises(DivergenceError, match=r"got a loss of (nan|inf) in epoch 1, step 2: expected .*; use a lower"):
        training.run()


@pytest.mark.usefixtures("tiny")
def test_a_run_reads_as_seldom_as_it_can(tmp_path, gpu, monkeypatch):
    if not gpu.is_standin:
        pytest.skip("only the stand-in counts what makes the host wait")
    training = started(tmp_path / "run", devices=(gpu.two[0],), save_every=100)
    monkeypatch.setattr(training, "_end_epoch", lambda _: None)
    before, after_each_step = len(standin.SYNCS), []

    def waited():
        """What made the host wait, but for events: the loader's threads wait for their copies at any time."""
        return [call for call in standin.SYNCS[before:] if call != "Event.synchronize"]

    class Watch(Progress):
        def step(self, *_):
            after_each_step.append(waited())

    training._epoch(Watch())
    assert after_each_step == [[], [], [], []]
    assert waited() == ["float"] * 8  # after the last step: a loss and a number of errors of each step


@pytest.mark.usefixtures("tiny")
def test_a_checkpoint_knows_the_losses_of_all_its_steps(tmp_path, gpu, monkeypatch):
    """Also the losses that had not been read from the GPU before."""
    training = started(tmp_path / "run", devices=(gpu.two[0],), save_every=3)
    monkeypatch.setattr(training, "_end_epoch", lambda _: None)
    training._epoch(Progress())
    position = read(tmp_path / "run" / CHECKPOINT).training["position"]
    assert (position["step"], position["images"]) == (3, 24)
    assert position["loss"] > 0


def test_files_move_freely(tmp_path, gpu):
    """Saved on two GPUs, loaded on the CPU, then moved."""
    net, x, _ = small_net(devices=gpu.two, seed=1, dtype="float64")
    expected = to_numpy(net.forward(x))
    save(net, tmp_path / "net.npz")
    again = load(tmp_path / "net.npz")
    for place in (
        None,
        gpu.two[1],
        gpu.two,
        gpu.two[::-1],
        ("cpu:0", gpu.two[1]),
        (gpu.two[0],),
        ("cpu:0", "cpu:1"),
        None,
    ):
        again.place(place)
        np.testing.assert_allclose(to_numpy(again.forward(x)), expected, rtol=1e-9)
        for name, w in net.params.items():
            np.testing.assert_array_equal(to_numpy(again.params[name]), to_numpy(w))


def test_parameters_are_written_wherever_they_are(gpu):
    for place in (gpu.two[1], gpu.two):
        net, _, _ = small_net(devices=place)
        for value in (np.full((3,), 0.5, "float32"), to_device(np.full((3,), 0.25, "float32"), gpu.two[0])):
            net.params["fc8.b"] = value
            np.testing.assert_array_equal(to_numpy(net.params["fc8.b"]), to_numpy(value))


@pytest.mark.parametrize("place", ["one", "both on one", "with the CPU"], indirect=True)
def test_columns_have_memory_of_their_own(place, gpu):
    """Writing to a column leaves the arrays of the whole net unchanged."""
    for before in (None, gpu.two[1]):
        net, _, _ = small_net(devices=before)
        whole, kept = net.params["conv1.w"], to_numpy(net.params["conv1.w"]).copy()
        net.place(place if isinstance(place, tuple) else ("cpu:0", "cpu:1"))
        net.params["conv1.w"] = np.zeros_like(kept)
        assert not to_numpy(net.params["conv1.w"]).any()
        np.testing.assert_array_equal(to_numpy(whole), kept)


def test_a_layer_alone_on_a_second_gpu(gpu):
    """Its masks are moved to the device of its input."""
    x = to_device(np.ones((2, 8), "float32"), gpu.two[1])
    with devices.device_scope(gpu.two[1]):
        y = Dropout(0.5, rng=np.random.default_rng(0)).forward(x, train=True)
    assert device_of(y) == gpu.two[1]


def test_devices_that_are_not_there(gpu):
    count = gpu_count()
    for place in (f"cuda:{count}", (gpu.two[0], f"cuda:{count}")):
        with pytest.raises(UsageError, match=f"there is no cuda:{count}: CuPy finds {count} GPU"):
            small_net(devices=place)


# ---------------------------------------------------------------- streams


def test_each_column_has_a_stream_of_its_own(gpu):
    """Also on one card, where they would run one after the other in one stream."""
    with devices.device_scope(gpu.two[0]):
        callers = gpu.cupy.cuda.get_current_stream()
    for names in (gpu.two, (gpu.two[0], gpu.two[0])):
        one, other = TwoDevices(names).each(lambda _: gpu.cupy.cuda.get_current_stream())
        assert one != other
        assert callers not in (one, other)


def test_each_is_like_one_operation_of_the_callers(gpu):
    """Both columns see what was queued before, and any stream sees afterwards what they queued."""
    if not gpu.is_standin:
        pytest.skip("only the stand-in finds races")
    here = TwoDevices(gpu.two)
    with devices.new_stream(gpu.two[0]):
        x = to_device(np.ones(1000), gpu.two[0])
        doubled = here.each(lambda column: to_device(x, gpu.two[column]) * 2)
        crossed = here.each(lambda column: to_device(doubled[1 - column], gpu.two[column]) + doubled[column])
        total = here.add(crossed)
        assert math.isclose(to_numpy(total).sum(), 8000)


def test_what_is_put_together_lies_on_the_first_device(gpu):
    """Whichever device is current."""
    here = TwoDevices((gpu.two[1], gpu.two[0]))
    ones = here.copies(np.ones((2, 3)))
    for found, right in ((here.add(ones), np.full((2, 3), 2)), (here.join(ones), np.ones((2, 6)))):
        assert device_of(found) == gpu.two[1]
        np.testing.assert_array_equal(to_numpy(found), right)


def test_an_error_in_one_column_leaves_the_streams_in_order(gpu):
    here = TwoDevices(gpu.two)

    def work(column):
        if column == 0:
            raise ZeroDivisionError
        return to_device(np.ones(3), gpu.two[1])

    with pytest.raises(ZeroDivisionError):
        here.each(work)
    np.testing.assert_array_equal(to_numpy(here.copies(np.arange(3.0))[1]), np.arange(3.0))


def test_a_read_before_the_callers_stream_waits_is_a_race(gpu):
    """This shows that the tests above can fail."""
    if not gpu.is_standin:
        pytest.skip("only the stand-in finds races")
    with devices.device_scope("cuda:1"):
        one, other = devices.new_stream("cuda:1"), devices.new_stream("cuda:1")
        with one:
            x = gpu.cupy.zeros(3)
        with other, pytest.raises(standin.RaceError, match=r"reads memory of device 1 that stream .* at work on"):
            x + 1
        with one:
            begun = devices.record_event("cuda:1")
        with other:
            devices.wait_for_events([begun], "cuda:1")
            y = x + 1
        del x
        with one, pytest.raises(standin.RaceError, match="writes memory of device 1"):
            gpu.cupy.zeros(3)  # it may well get the memory that was x's
        with other:
            np.testing.assert_array_equal(y.get(), np.ones(3))
