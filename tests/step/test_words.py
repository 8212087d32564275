"""Formulas and figures as people and browsers read them, and numbers as the page carries them."""

import base64
import gzip
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import tinyalex.layers
from cases import small_net
from tinyalex import AlexNet, load_example, record, step
from tinyalex.data import open_data
from tinyalex.step import explain, why
from tinyalex.step.facts import duration, facts, number, size, times
from tinyalex.step.faint import FAINT, faintness, largest_gradient, second_class
from tinyalex.step.mathml import mathml
from tinyalex.step.numbers import Numbers
from tinyalex.step.paint import on_grid, scaled
from tinyalex.step.words import WORDS, entry, say
from tinyalex.training.evaluate import augmenter_for


def inner(latex):
    """The MathML of a formula, without the element around it."""
    text = mathml(latex)
    return text[text.index("<mrow>") + 6 : text.rindex("</mrow>")]


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("y", "<mi>y</mi>"),
        ("2x", "<mn>2</mn><mi>x</mi>"),
        ("a-b", "<mi>a</mi><mo>−</mo><mi>b</mi>"),
        ("x_o", "<msub><mi>x</mi><mi>o</mi></msub>"),
        ("x^2", "<msup><mi>x</mi><mn>2</mn></msup>"),
        ("x_j^2", "<msubsup><mi>x</mi><mi>j</mi><mn>2</mn></msubsup>"),
        (r"x_{o,u}", "<msub><mi>x</mi><mrow><mi>o</mi><mo>,</mo><mi>u</mi></mrow></msub>"),
        (r"\sum_c", "<munder><mo>∑</mo><mi>c</mi></munder>"),
        (r"\max_c", "<munder><mo>max</mo><mi>c</mi></munder>"),
        (r"\frac{a}{b}", "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>"),
        (r"\alpha\,\beta", '<mi>α</mi><mspace width="0.17em"/><mi>β</mi>'),
        (r"p_{\mathrm{label}}", "<msub><mi>p</mi><mrow><mi>label</mi></mrow></msub>"),
        ("a<b", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
    ],
)
def test_mathml(latex, expected):
    assert inner(latex) == expected


def test_mathml_of_what_is_not_known():
    with pytest.raises(ValueError, match=r"got \\int: expected a command that mathml\(\) knows"):
        mathml(r"\int x")


def test_every_kind_of_layer_is_explained():
    layers = {getattr(tinyalex.layers, name) for name in tinyalex.layers.__all__} - {tinyalex.layers.Layer}
    assert set(explain._EXPLAINED) == layers


def test_the_layers_of_the_paper_have_drawings_of_their_own():
    """Another kind may do with the plain one; a drawing belongs to a kind that there is."""
    kinds = {explain.explanation(layer).kind for layer in AlexNet("paper").layers.values()}
    assert kinds < set(why.WHY) <= {about.kind for about in explain._EXPLAINED.values()}


@pytest.mark.parametrize("about", explain._EXPLAINED.values(), ids=lambda about: about.kind)
def test_every_formula_is_whole(about):
    for formula in (about.forward, about.backward):
        for part in formula.latex.split(r"\quad"):
            ElementTree.fromstring(mathml(part))
        assert formula.meaning.endswith(".")
        assert "=" in formula.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.031721, "0.03172"), (-12.5, "−12.5"), (40823.4, "40,823"), (2.81e-7, "2.81·10⁻⁷"),
        (-6.02e23, "−6.02·10²³"), (0.0001, "0.0001"), (1234.56, "1235"),
        (np.float32("nan"), "nan"), (np.inf, "inf"), (-np.inf, "−inf"),
    ],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert number(value) == text


def test_words_count_with_commas_and_brackets_as_python_does():
    assert say("map", 4, 32) == "map 4 of 32"
    assert say("sum", 36_288) == "sum of 36,288 products"
    assert entry("y", 3, 0, 4) == "y[3, 0, 4]"


def test_every_word_is_used():
    """By Python or by the page; and the page asks for none that there is not."""
    folder = Path(step.__file__).parent
    code = "".join(file.read_text("utf-8") for file in [*folder.glob("*.py"), *folder.glob("page/*.js")])
    asked = set(re.findall(r'say\(f?"(\w+)"', code)) | set(re.findall(r"say\('(\w+)'", code))
    assert asked <= set(WORDS)
    assert {name for name in WORDS if not re.search(rf"[\"']{name}[\"']", code)} <= {"step"}


@pytest.mark.parametrize(("p", "told"), [(0.9, False), (0.998, False), (0.9995, True), (1 - 1e-9, True)])
@pytest.mark.parametrize("images", [1, 3])
def test_what_is_a_faint_pass(p, told, images):
    """Whatever the number of images, over which the loss is a mean."""
    logits = np.log(np.array([p, 0.75 * (1 - p), 0.25 * (1 - p)]))
    net = AlexNet("mini", num_classes=3, input_size=16, dtype="float64")
    for name in net.params:
        net.params[name] = np.zeros_like(net.params[name])
    net.params["fc8.b"] = logits
    recording = record(net, np.zeros((images, 3, 16, 16)), [0] * images, classes=("ring", "star", "heart"))
    assert largest_gradient(recording, images - 1) == pytest.approx(1 - p, rel=1e-5)
    assert bool(faintness(recording, images - 1)) == told
    assert second_class(recording) == "star"
    assert faintness(record(net, np.zeros((1, 3, 16, 16)))) == ""


def test_how_faint_most_passes_are():
    """What docs/step.md says of the generated pictures."""
    page = " ".join((Path(__file__).parents[2] / "docs/step.md").read_text("utf-8").split())
    assert "For four of five of the 1000 generated ones no logit has a gradient above 10⁻³" in page
    assert "for half none above 10⁻⁵" in page
    trained, images = load_example(), open_data("shapes", size=36, val_count=60)[1].read(np.arange(60))
    largest = []
    for image in augmenter_for(trained).centre(images):  # (3, 32, 32)
        answer = trained.net.predict(image[None]).argmax(axis=1)
        largest.append(largest_gradient(record(trained.net, image[None], answer, classes=trained.classes)))
    assert 0.7 < np.mean(np.array(largest) < FAINT) < 0.9
    assert 1e-7 < np.median(largest) < 1e-5


def test_a_pass_without_finite_gradients_is_not_faint():
    net, x, labels = small_net()
    net.params["fc8.b"][0] = np.nan
    assert faintness(record(net, x, labels)) == ""


def test_sizes_and_times_for_people():
    assert [size(count) for count in (40, 2048, 3 << 20)] == ["40 bytes", "2.0 KB", "3.0 MB"]
    assert [duration(seconds) for seconds in (42e-6, 0.0123, 1.5)] == ["42 µs", "12.3 ms", "1.5 s"]
    assert times((96, 3, 11, 11)) == "96 × 3 × 11 × 11"


def test_facts(small_pass):
    forward, backward = (facts(step) for step in small_pass["conv2"])
    assert ("kernels", "64 × 16 × 5 × 5") in forward["facts"]
    assert ("stride, pad", "1, 2") in forward["facts"]
    assert ("parameters", "25,664") in forward["facts"]
    assert ("multiply-adds", "1,638,400") in forward["facts"]
    assert ("multiply-adds", "3,276,800") in backward["facts"]
    assert ("kept for backward", "x (16.0 KB)") in forward["facts"]
    assert [line[0] for line in backward["statistics"]] == ["dy", "dx", "dw", "db"]
    relu = facts(small_pass["relu1"].forward)["statistics"][1]
    assert relu[0] == "y"
    assert relu[1] == "0"
    assert relu[5] == f"{100 * np.mean(small_pass['relu1'].forward.y == 0):.1f} %"


def unpacked(numbers):
    planes = np.frombuffer(gzip.decompress(base64.b64decode(numbers.text())), np.uint8).reshape(numbers.bytes_each, -1)
    whole = np.ascontiguousarray(planes.T).view({4: "<f4", 2: "<i2"}[numbers.bytes_each]).ravel()
    return [
        whole[place["first"] :][: np.prod(place["shape"], dtype=int)].reshape(place["shape"]) * place["unit"]
        for place in numbers.places
    ]


@pytest.fixture(params=[4, 2])
def numbers(request, monkeypatch):
    """For few numbers and for many."""
    if request.param == 2:
        monkeypatch.setattr("tinyalex.step.numbers.EXACT", 3)
    return Numbers()


def test_packed_numbers_come_back(numbers, rng):
    arrays = [rng.standard_normal((2, 3, 4)), np.zeros((3,), "float32"), 1e-9 * rng.standard_normal((5, 2))]
    assert [numbers.add(array) for array in arrays] == [0, 1, 2]
    for array, back in zip(arrays, unpacked(numbers), strict=True):
        error = 0 if numbers.bytes_each == 4 else 6.2e-5
        np.testing.assert_allclose(back, array.astype("float32"), rtol=0, atol=error * np.abs(array).max())
    assert (unpacked(numbers)[1] == 0).all()


def test_integers_and_zeros_are_exact(numbers):
    whole = np.arange(200, dtype=np.uint8)
    relu = np.array([0.0, 3.0, 0.0, 1e-3])
    numbers.add(whole)
    numbers.add(relu)
    back = unpacked(numbers)
    np.testing.assert_array_equal(back[0], whole)
    np.testing.assert_array_equal(back[1] == 0, relu == 0)


def test_an_array_is_packed_once(rng):
    numbers = Numbers()
    array, other = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    assert [numbers.add(array, image=1), numbers.add(other, image=1), numbers.add(array, image=1)] == [0, 1, 0]
    np.testing.assert_allclose(unpacked(numbers)[0], array[1], atol=1e-3)


def test_colours_raise_small_numbers_and_keep_signs():
    np.testing.assert_allclose(scaled(np.array([-4.0, 0.0, 2.0])), [-1, 0, 0.5**0.7])
    np.testing.assert_array_equal(scaled(np.zeros(3)), np.zeros(3))
    np.testing.assert_array_equal(scaled(np.array([np.nan, -np.inf, 2.0])), [np.nan, -1, 1])


def test_units_on_a_grid():
    assert on_grid(np.arange(10.0)).shape == (1, 10)
    grid = on_grid(np.arange(40.0))
    assert grid.shape == (6, 7)
    assert np.isnan(grid[5, 5:]).all()
    assert grid[5, 4] == 39
