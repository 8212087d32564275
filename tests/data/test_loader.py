"""Batches: every image once, the same numbers whoever prepares them, and clean ends."""

import signal
import threading
import time
from contextlib import closing

import numpy as np
import pytest

from tinyalex.data import (
    ArrayDataset,
    Augmenter,
    PixelStatistics,
    batch_count,
    batches,
    evaluation_batches,
    loader,
)
from tinyalex.errors import DataError, UsageError


class Numbered(ArrayDataset):
    """`count` images of 4 x 4, image i labelled i and filled with the byte i; counts what is read."""

    def __init__(self, count, damaged=None):
        images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3))
        super().__init__("numbered", images, np.arange(count), tuple(map(str, range(count))))
        self.damaged, self.reads, self.lock = damaged, 0, threading.Lock()

    def read(self, indices):
        with self.lock:
            self.reads += 1
        if self.damaged in indices:
            raise DataError(f"image {self.damaged} is damaged")
        return super().read(indices)


def augmenter(crop=4, **options):
    mean = np.zeros((4, 4, 3), np.float32)
    return Augmenter(PixelStatistics(mean, np.array([0.2, 0.1, 0.05]), np.eye(3)), crop, **options)


PLAIN = {"crops": False, "reflections": False, "colour": "off"}


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize(
    ("images", "batch_size", "expected"),
    [(10, 5, 2), (11, 5, 2), (14, 5, 2), (5, 5, 1), (4, 5, 1), (1, 5, 1), (0, 5, 0), (7, 1, 7)],
)
def test_batch_count(images, batch_size, expected):
    assert batch_count(images, batch_size) == expected


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"), [(12, 4, [4, 4, 4]), (14, 4, [4, 4, 4]), (3, 4, [3]), (4, 4, [4])]
)
def test_no_image_comes_twice_in_an_epoch(count, batch_size, sizes):
    made = list(batches(Numbered(count), augmenter(**PLAIN), batch_size, seed=0, epoch=0))
    assert [len(labels) for _, labels in made] == sizes
    labels = np.concatenate([labels for _, labels in made])
    assert len(set(labels.tolist())) == sum(sizes)
    assert labels.dtype == np.int64
    for images, of_images in made:
        assert images.shape == (len(of_images), 3, 4, 4)
        assert (images == of_images[:, None, None, None]).all()  # each image with its own label


def test_the_dropped_images_change_with_the_epoch():
    used = set()
    for epoch in range(8):
        for _, labels in batches(Numbered(7), augmenter(**PLAIN), 4, seed=0, epoch=epoch):
            used.update(labels.tolist())
    assert used == set(range(7))


def order_of(seed, epoch):
    made = batches(Numbered(40), augmenter(**PLAIN), 8, seed=seed, epoch=epoch)
    return tuple(np.concatenate([labels for _, labels in made]).tolist())


def test_the_order_depends_on_seed_and_epoch_only():
    orders = {(seed, epoch): order_of(seed, epoch) for seed in range(3) for epoch in range(3)}
    assert len(set(orders.values())) == 9
    assert tuple(range(40)) not in orders.values()
    assert order_of(1, 2) == orders[1, 2]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_a_resumed_epoch_goes_on_with_the_same_bits(start, workers):
    whole = list(batches(Numbered(40), augmenter(crop=3), 8, seed=1, epoch=2))
    rest = list(batches(Numbered(40), augmenter(crop=3), 8, seed=1, epoch=2, start=start, workers=workers, depth=2))
    assert len(whole) == 5
    assert len(rest) == 5 - start
    for (images, labels), (images_again, labels_again) in zip(whole[start:], rest, strict=True):
        np.testing.assert_array_equal(images, images_again)
        np.testing.assert_array_equal(labels, labels_again)


@pytest.mark.parametrize("depth", [1, 2, 9])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_batches_depend_on_seed_and_position_alone(workers, depth):
    """Not on how many threads prepare them, nor on how far ahead; whichever of them is the fastest."""

    class Uneven(Numbered):
        def read(self, indices):
            found = super().read(indices)
            time.sleep(0.002 * (int(indices[0]) % 3))  # batches are done in another order than they begin
            return found

    def all_batches(dataset, **given):
        training = batches(dataset, augmenter(crop=3), 4, seed=5, epoch=1, **given)
        return [*training, *evaluation_batches(dataset, augmenter(crop=3), 7, "ten", **given)]

    found, expected = all_batches(Uneven(40), workers=workers, depth=depth), all_batches(Numbered(40))
    assert len(found) == len(expected) == 10 + 6
    for batch, right in zip(found, expected, strict=True):
        for array, same in zip(batch, right, strict=True):
            np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_read_parts_that_do_not_overlap(ranks):
    """Together they read each image of each batch once, in the order of a process that is alone."""

    class Noted(Numbered):
        def read(self, indices):
            self.seen.append(indices.tolist())
            return super().read(indices)

    def reads(rank, ranks):
        def share(count):
            return slice(count * rank // ranks, count * (rank + 1) // ranks)

        data = Noted(40)
        data.seen = []
        assert len(list(batches(data, augmenter(), 8, seed=2, epoch=3, share=share))) == 5
        return data.seen

    parts = [reads(rank, ranks) for rank in range(ranks)]
    together = [np.concatenate(of_batch).tolist() for of_batch in zip(*parts, strict=True)]
    assert together == reads(0, 1)
    assert sorted(np.concatenate(together)) == list(range(40))


class Recorder:
    """In an augmenter's place: gives back what the batch's random numbers are."""

    def __init__(self, numbers):
        self.numbers = numbers

    def draw(self, _count, rng, _own):
        return self.numbers(rng)

    def enlarge(self, images, *_):
        return images

    def view(self, _images, numbers):
        return numbers


def test_every_batch_has_random_numbers_of_its_own():
    recorder = Recorder(lambda rng: rng.integers(2**62))
    drawn = [
        int(number)
        for seed in range(4)
        for epoch in range(4)
        for number, _ in batches(Numbered(8), recorder, 2, seed=seed, epoch=epoch)
    ]
    assert len(set(drawn)) == len(drawn) == 64


def test_the_order_is_not_drawn_from_a_batchs_numbers():
    recorder = Recorder(lambda rng: tuple(rng.permutation(40).tolist()))
    drawn = {p for epoch in range(5) for p, _ in batches(Numbered(40), recorder, 8, seed=0, epoch=epoch)}
    assert len(drawn) == 25
    assert drawn.isdisjoint(order_of(0, epoch) for epoch in range(5))


def test_an_error_arrives_when_its_batch_is_asked_for():
    order = order_of(0, 0)
    data = Numbered(40, damaged=order[17])  # in the third batch
    made = batches(data, augmenter(**PLAIN), 8, seed=0, epoch=0)
    assert len(next(made)[1]) == 8
    assert len(next(made)[1]) == 8
    with pytest.raises(DataError, match=f"image {order[17]} is damaged"):
        next(made)
    assert not loader_threads()
    assert len(next(batches(data, augmenter(**PLAIN), 8, seed=0, epoch=0))[1]) == 8  # nothing else has ended


def test_batches_before_an_error_arrive_though_they_are_done_later():
    order, failed = order_of(0, 0), threading.Event()

    class Late(Numbered):
        def read(self, indices):
            if order[0] in indices:
                assert failed.wait(10)
            try:
                return super().read(indices)
            except DataError:
                failed.set()
                raise

    made = batches(Late(40, damaged=order[17]), augmenter(**PLAIN), 8, seed=0, epoch=0, workers=3)
    assert [next(made)[1].tolist() for _ in range(2)] == [list(order[:8]), list(order[8:16])]
    with pytest.raises(DataError, match="is damaged"):
        next(made)
    assert not loader_threads()


def test_an_interrupted_consumer_leaves_no_thread():
    """Ctrl-C while it waits for a batch."""
    main = threading.get_ident()

    class Interrupting(Numbered):
        def read(self, indices):
            if self.reads == 7:
                signal.pthread_kill(main, signal.SIGINT)
            return super().read(indices)

    def consume():
        with closing(batches(Interrupting(400), augmenter(), 2, seed=0, epoch=0, workers=2)) as made:
            for _ in made:
                assert loader_threads()

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not loader_threads()


def test_closing_early_ends_the_threads():
    data = Numbered(200)
    made = batches(data, augmenter(**PLAIN), 2, seed=0, epoch=0, workers=2, depth=4)
    next(made)
    assert loader_threads()
    made.close()
    assert not loader_threads()
    assert data.reads <= 5


def test_closing_early_drops_what_has_not_begun():
    gate = threading.Event()

    class Slow(Numbered):
        def read(self, indices):
            found = super().read(indices)
            assert self.reads == 1 or gate.wait(10)  # the second batch is begun, and takes its time
            return found

    data = Slow(200)
    made = batches(data, augmenter(**PLAIN), 2, seed=0, epoch=0, depth=4)
    next(made)
    threading.Timer(0.1, gate.set).start()
    made.close()
    assert data.reads <= 2


def test_depth_batches_are_prepared_while_one_is_used():
    data = Numbered(200)
    made = batches(data, augmenter(**PLAIN), 2, seed=0, epoch=0, depth=3)
    for taken in (1, 2):
        next(made)
        until = time.monotonic() + 10
        while data.reads < taken + 3 and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.02)
        assert data.reads == taken + 3  # prepared although nobody asked yet, and no more than that
    made.close()


def test_several_workers_prepare_at_once():
    data = Numbered(12)
    both = threading.Barrier(2, timeout=10)  # passed only if two batches are being read at the same time

    class Meeting:
        def draw(self, *_):
            both.wait()

        def enlarge(self, images, *_):
            return images

        def view(self, images, _views):
            return images

    assert len(list(batches(data, Meeting(), 3, seed=0, epoch=0, workers=2))) == 4


def test_the_time_that_the_consumer_waits_is_measured(monkeypatch):
    """On a clock that only the test moves: while a batch is made, and while it is used."""
    clock = [0.0]
    monkeypatch.setattr(loader.time, "perf_counter", lambda: clock[0])

    def made():
        for seconds in (3.0, 0.5):
            clock[0] += seconds
            yield seconds

    consumed = loader.Batches(made())
    for waited in (3.0, 3.5):
        next(consumed)
        assert consumed.waited == waited
        clock[0] += 100.0  # the net computes
    assert list(consumed) == []
    assert consumed.waited == 3.5


@pytest.mark.parametrize(("views", "number"), [("centre", 1), ("ten", 10)])
def test_evaluation_sees_all_images_once_in_order(views, number):
    data = Numbered(11)
    made = list(evaluation_batches(data, augmenter(crop=2), 4, views, workers=2))
    assert [images.shape for images, _ in made] == [(n, number, 3, 2, 2) for n in (4, 4, 3)]
    assert np.concatenate([labels for _, labels in made]).tolist() == list(range(11))
    for images, labels in made:
        assert (images == labels[:, None, None, None, None]).all()


def test_evaluation_views_are_the_right_ones():
    images = np.arange(4 * 4, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, axis=3)
    data = ArrayDataset("one", images, np.zeros(1, np.int64), ("only",))
    [(centre, _)] = evaluation_batches(data, augmenter(crop=2), 4)
    assert centre[0, 0, 0].tolist() == [[5, 6], [9, 10]]
    [(ten, _)] = evaluation_batches(data, augmenter(crop=2), 4, "ten")
    assert ten[0, 3, 0].tolist() == [[10, 11], [14, 15]]
    assert ten[0, 8, 0].tolist() == [[11, 10], [15, 14]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "got workers=0: expected 1 or more"),
        ({"depth": 0}, "got depth=0"),
        ({"batch_size": 0}, "got batch_size=0"),
        ({"start": -1}, "got start=-1: expected 0 or more"),
    ],
)
def test_mistakes_are_named_at_once(options, message):
    settings = {"batch_size": 4, "seed": 0, "epoch": 0} | options
    with pytest.raises(UsageError, match=message):
        batches(Numbered(8), augmenter(), **settings)


def test_unknown_views_are_named_at_once():
    with pytest.raises(UsageError, match="got views 'five': expected centre or ten"):
        evaluation_batches(Numbered(8), augmenter(), 4, "five")
