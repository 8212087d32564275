"""What the messages say: the entry, the numbers, the pattern, the usual mistake."""

import numpy as np
import pytest

from tinyalex.course import CheckError, evenly, independent, same, that

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(2, 3, 4, 5)) + 10 * np.arange(24).reshape(2, 3, 4, 1)
AXES = "N C H W"


def complaint(got, expected=Y, axes=AXES, **options):
    with pytest.raises(CheckError) as caught:
        same("y", got, expected, axes=axes, **options)
    return str(caught.value)


def changed(index, by=1.0):
    y = Y.copy()
    y[index] += by
    return y


def test_the_right_answer_says_nothing():
    same("y", Y.copy(), Y)
    same("y", Y + 1e-9, Y)
    same("y", Y.astype("float32") * np.float32(1 + 1e-6), Y.astype("float32"))
    same("loss", 2.5, 2.5)
    same("loss", np.float64(2.5), 2.5)
    same("mask", np.array([True, False]), np.array([True, False]))
    same("empty", np.zeros((0, 3)), np.zeros((0, 3)))


def test_the_first_wrong_entry_is_named_with_both_numbers():
    text = complaint(changed((1, 2, 0, 3)), Y)
    y, wrong = Y[1, 2, 0, 3], Y[1, 2, 0, 3] + 1
    assert (
        f"y[1, 2, 0, 3] is {wrong:.6g}, expected {y:.6g}, a difference of 1\n1 of 120 entries differs (N C H W)" in text
    )


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (None, "got None (is there a return?)"),
        (Y.tolist(), "got type list, expected a NumPy array of shape (2, 3, 4, 5)"),
        (Y[0], "y has the shape (3, 4, 5), expected (2, 3, 4, 5) (N C H W)"),
        (Y.astype("float32"), "has the right numbers, but is float32, expected float64"),
        (-Y, "every entry has the wrong sign"),
        (Y / 6, "every entry is 0.1667 times what it should be"),
        (Y + 3, "every entry is off by the same number, 3"),
        (np.zeros_like(Y), "every entry is 0"),
        (Y[:, :, ::-1], "the right numbers, reversed along H"),
        (Y.transpose(0, 1, 3, 2), "axes in another order: N, C, W, H"),
        (Y.reshape(2, 3, 20), "in the right order, in another shape"),
        (changed((slice(None), 2)), "only entries with C = 2 are wrong (of 0 ... 2)"),
        (changed(np.s_[:, :, 0]), "only entries at the edge are wrong (first or last of H or W)"),
        (changed((0, 0, 0, 0), np.nan), "some entries are nan"),
        (changed((0, 0, 0, 0), np.inf), "some entries are inf"),
    ],
)
def test_patterns(got, words):
    assert words in complaint(np.ascontiguousarray(got) if isinstance(got, np.ndarray) else got)


def test_a_usual_mistake_is_recognised_by_its_answer():
    usual = {"twice": 2 * Y, "the first image": lambda: Y[:1], "never asked": lambda: 1 / 0}
    assert complaint(2 * Y, usual=usual).endswith("What it is: twice")
    assert complaint(Y[:1].copy(), usual=usual).endswith("What it is: the first image")
    assert "What it is" not in complaint(3 * Y, usual={"twice": 2 * Y})


def test_a_wrong_dtype_says_so_and_nothing_else():
    """The numbers of float64 differ from those of float32 in the last digits, which is no pattern."""
    expected = Y.astype("float32")
    assert complaint(Y, expected).splitlines() == [
        "y has the right numbers, but is float64, expected float32",
        "Give new arrays dtype=x.dtype. A NumPy number, such as np.sqrt(2), turns float32 into float64.",
    ]
    both = complaint(2 * Y, expected)
    assert "y is float64, expected float32" in both
    assert "What it looks like: every entry is 2 times what it should be" in both
    whole = complaint(Y.astype(int), Y)
    assert "y is int64, expected float64" in whole
    assert whole.endswith("What it looks like: the digits after the point are missing: the array was made for integers")


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (5.0, "it is 2 times what it should be: a sum for a mean"),
        (0.5, "it is 1 / 5 of what it should be: a mean for a sum"),
        (-2.5, "every entry has the wrong sign"),
        (2.5 + 1e-7, "right to a few digits only"),
    ],
)
def test_a_number_has_a_pattern(got, words):
    assert words in complaint(got, 2.5, "")


@pytest.mark.parametrize("got", [2.5 * 1.157, 2.5024, 1e5 / 3, 0.1])
def test_any_number_is_a_multiple_of_any_other(got):
    assert "What it looks like" not in complaint(got, 2.5 if got != 0.1 else 0.13, "")


def test_numbers_that_are_no_floats():
    assert "is 3, expected 4, a difference of -1" in complaint(
        np.array([3], np.uint8), np.array([4], np.uint8), axes=""
    )
    assert "y[1] is True, expected False" in complaint(np.array([True, True]), np.array([True, False]), axes="")
    assert "y is 2, expected 2.5" in complaint(2.0, 2.5, axes="")
    assert "expected a number" in complaint("2.5", 2.5, axes="")


def test_tolerance_is_in_parts_of_the_largest_entry():
    same("y", np.array([1.0, 1000.5]), np.array([1.0, 1000.0]), tolerance=1e-3)
    with pytest.raises(CheckError):
        same("y", np.array([1.0, 1001.5]), np.array([1.0, 1000.0]), tolerance=1e-3)


def test_an_array_that_only_pretends():
    class Agreeable(np.ndarray):
        def __ne__(self, other):
            return np.zeros(self.shape, bool)

    assert "got type Agreeable" in complaint(np.zeros_like(Y).view(Agreeable))


def test_that():
    that(True, "never")
    with pytest.raises(CheckError, match="bytes"):
        that(0, "bytes")


def test_a_notebook_shows_the_message_alone():
    error = CheckError("y is wrong")
    assert error._render_traceback_() == ["CheckError: y is wrong"]


@pytest.mark.parametrize(("got", "expected"), [(np.array(["a", "b"]), np.ones(2)), (np.ones(2), np.array(["a", "b"]))])
def test_text_is_told_from_numbers(got, expected):
    with pytest.raises(CheckError, match=f"y is {got.dtype}, expected {expected.dtype}"):
        same("y", got, expected)


# ---------------------------------------------------------------- random numbers: independent, and evenly spread


def coins(*shape, seed=0):
    return np.random.default_rng(seed).random(shape) < 0.5


def in_turns(*shape):
    return np.arange(np.prod(shape)).reshape(shape) % 2 == 1


@pytest.mark.parametrize("seed", range(20))
def test_right_random_numbers_raise_no_alarm(seed):
    rng = np.random.default_rng(seed)
    independent("mask", coins(100, 120, seed=seed), "image unit", "")
    independent("mask", coins(6, 4000, seed=seed), "pass unit", "")
    independent("alpha", rng.normal(5, 2, (1000, 3)), "image component", "")
    independent("place", rng.integers(0, 7, 500), "image", "")
    evenly("a number", np.bincount(rng.integers(0, 9, 900), minlength=9), "")
    evenly("a rare number", np.bincount(rng.integers(0, 2000, 1000), minlength=2000), "")


DEPENDENT = {
    "a mask for two images": (coins(50, 100).repeat(2, axis=0), "depends on image"),
    "half of the masks again": (np.tile(coins(50, 100), (2, 1)), "depends on image"),
    "the opposite in every second unit": (np.hstack([coins(100, 50), ~coins(100, 50)]), "depends on unit"),
    "one image like another": (np.vstack([coins(99, 100), coins(99, 100)[:1]]), "image 99 depends on image 0"),
    "each image one unit further": (np.resize(coins(99), (100, 100)), "depend"),
    "1,990 numbers again and again": (np.resize(coins(1990), (200, 200)), "depend"),
    "a fixed count in each image": (
        np.random.default_rng(0).permuted(in_turns(100, 100), axis=1),
        "the sum for each image is too even",
    ),
    "a fixed count for each unit": (
        np.random.default_rng(0).permuted(in_turns(100, 100).T, axis=0),
        "the sum for each unit is too even",
    ),
    "a unit that is always there": (coins(200, 200) | (np.arange(200) == 7), "the sum for each unit is too uneven"),
    "all alike": (np.ones((9, 9)), "all draws are equal"),
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_dependent_numbers_are_told(name):
    draws, words = DEPENDENT[name]
    with pytest.raises(CheckError, match=f"^mask: .*{words}.*: draw them all$"):
        independent("mask", draws, "image unit", "draw them all")


def test_the_distance_of_dependent_numbers_is_told():
    with pytest.raises(CheckError, match="depend on those that are 1 image away"):
        independent("alpha", np.random.default_rng(0).normal(size=(500, 3)).repeat(2, axis=0), "image component", "")
    with pytest.raises(CheckError, match="depend on those that are 250 images away"):
        independent("alpha", np.tile(np.random.default_rng(0).normal(size=250), 2), "image", "")
    with pytest.raises(CheckError, match="the sum for each pass is too even"):
        independent("mask", np.random.default_rng(0).permuted(in_turns(6, 4000), axis=1), "pass unit", "")


def test_uneven_counts_are_told():
    with pytest.raises(CheckError, match="an image came 0 times, expected about 75: draw again"):
        evenly("an image", [100, 100, 100, 0], "draw again")
    with pytest.raises(CheckError, match="an image came 200 times, expected about 67"):
        evenly("an image", [[200, 0, 0], [66, 67, 67]], "")
    evenly("an image", [100, 90, 110, 100], "")
