"""The page of a recorded pass, in a real browser: it is whole, it steps, and what it shows is what the arrays say."""

import dataclasses
import re

import numpy as np
import pytest

from cases import small_net
from runs import slim
from tinyalex import AlexNet, record, spec
from tinyalex.errors import DivergenceError, UsageError
from tinyalex.step import facts, receptive_field, show, to_html
from tinyalex.step.words import say


@pytest.fixture(scope="module")
def path(small_pass, tmp_path_factory):
    return to_html(small_pass, tmp_path_factory.mktemp("page") / "step.html")


def heading(page):
    return " ".join(page.locator("main h2").inner_text().split())


def go(page, name, direction):
    """Show a step."""
    page.evaluate(
        "([name, way]) => go(steps.findIndex((s) => s.name === name && s.direction === way))", [name, direction]
    )


def field(page):
    """The receptive field that is drawn on the image, as (top, left, bottom, right)."""
    x, y, width, height = (
        float(page.locator("#field rect.field").get_attribute(name)) for name in ("x", "y", "width", "height")
    )
    return y, x, y + height, x + width


def texts(figure):
    """All that is written on a figure."""
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def click(page, card, row, column, size):
    """Click the middle of a cell."""
    box = page.locator(f"{card} .frame").bounding_box()
    page.locator(f"{card} .frame").click(
        position={"x": (column + 0.5) * box["width"] / size[1], "y": (row + 0.5) * box["height"] / size[0]}
    )


def lit(page, card):
    """The cell that is marked on a card."""
    rect = page.locator(f"{card} rect.cell").last
    return int(float(rect.get_attribute("y"))), int(float(rect.get_attribute("x")))


def value_of(text):
    """A figure that the page wrote: 12.5, −0.03, 1.2·10⁻⁷."""
    mantissa, _, exponent = text.strip().replace("−", "-").replace(",", "").partition("·10")
    return float(mantissa) * 10.0 ** int(exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


# ---------------------------------------------------------------- the file


def test_the_page_fetches_nothing_and_opens_without_a_complaint(opened, path):
    page = opened(path)
    assert heading(page) == "conv1 → forward"
    assert "says “" in page.locator("#summary").inner_text()
    assert page.title() == "AlexNet, step by step: mini"
    assert not page.evaluate(
        "[...document.querySelectorAll('[src], link[href]')].some(e => /^http/.test(e.src || e.href))"
    )


def test_the_full_size_net_stays_under_15_mb(tmp_path):
    """The largest of all: six convolutions, and noise, which compresses worst."""
    x = 60 * np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype="float32")
    pass_ = record(AlexNet("six-conv"), x, [7])
    assert to_html(pass_, tmp_path / "step.html").stat().st_size < 15_000_000


def test_names_are_text_and_never_markup(opened, tmp_path, small_pass):
    name = "</title><img src=x onerror=alert(1)>"
    net = AlexNet(dataclasses.replace(spec.MINI, name=name), num_classes=2, input_size=16)
    classes = ("</script><img src=x onerror=alert(1)>", "a & b")
    pass_ = record(net, small_pass.x.astype("float32"), [0], classes=classes)
    page = opened(to_html(pass_, tmp_path / "step.html"), "#loss-forward")
    assert classes[0] in page.locator("#logits .line.lit .label").inner_text()
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == f"AlexNet, step by step: {name}"


def test_an_image_that_there_is_not(small_pass, tmp_path):
    with pytest.raises(UsageError, match=r"got image=1: expected one of the pass, 0 \.\.\. 0"):
        to_html(small_pass, tmp_path / "step.html", image=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_pass_that_diverged_is_refused(tmp_path, value):
    net = AlexNet("mini", num_classes=3, input_size=16)
    net.params["conv2.b"][0] = value
    pass_ = record(net, np.ones((1, 3, 16, 16), "float32"))
    with pytest.raises(
        DivergenceError, match=r"NaN or infinity in conv2: expected finite numbers; look at it with tin"
    ):
        to_html(pass_, tmp_path / "step.html")
    assert not list(tmp_path.iterdir())


def test_the_weights_of_the_label_are_there_on_two_devices_too(tmp_path, opened, monkeypatch):
    monkeypatch.setattr("tinyalex.step.page.MOST_WEIGHTS", 1)
    net, x, _ = small_net(devices=("cpu:0", "cpu:1"))
    label = int(abs(record(net, x[:1], [0])["loss"].forward.x[0]).argmin())
    page = opened(to_html(record(net, x[:1], [label]), tmp_path / "step.html"))
    assert page.evaluate("about.layers.fc8.units") == [label]


def test_another_image_of_several(opened, tmp_path):
    net = AlexNet("mini", num_classes=3, input_size=16)
    x = np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype("float32")
    pass_ = record(net, x, [0, 2])
    page = opened(to_html(pass_, tmp_path / "step.html", image=1), "#conv1-forward")
    shown = page.evaluate("Array.from(maps(steps[0].arrays.y).data)")
    np.testing.assert_allclose(shown, pass_[0].y[1].ravel(), atol=1e-3)
    assert "label is “2”" in page.locator("#summary").inner_text()


# ---------------------------------------------------------------- stepping


def test_every_step_can_be_shown(opened, path, small_pass):
    page = opened(path)
    for number, step in enumerate(small_pass):
        assert heading(page) == f"{step.name} {'→' if step.direction == 'forward' else '←'} {step.direction}"
        assert page.locator("#count").inner_text() == f"{number + 1} of {len(small_pass)}"
        assert page.locator("#track [aria-current]").get_attribute("data-step") == str(number)
        assert "undefined" not in page.locator("main").inner_text()
        assert "NaN" not in page.locator("main").inner_text()
        if number < len(small_pass) - 1:
            page.locator("#next").click()
    assert page.locator("#next").is_disabled()
    page.locator("#back").click()
    assert heading(page) == "relu1 ← backward"


@pytest.mark.parametrize(
    ("variant", "size"), [("cuda-convnet", 67), ("torchvision", 63), ("six-conv", 67), ("cifar10-full", 16)]
)
def test_every_step_of_other_nets(opened, tmp_path, variant, size):
    net = AlexNet(slim(spec.VARIANTS[variant]), num_classes=3, input_size=size)
    pass_ = record(net, np.random.default_rng(0).standard_normal((1, 3, size, size)).astype("float32"), [1])
    page = opened(to_html(pass_, tmp_path / "step.html"))
    for step in pass_:
        assert heading(page).startswith(step.name)
        assert not {"undefined", "NaN"} & set(page.locator("main").inner_text().split())
        page.keyboard.press("ArrowRight")


def test_a_pass_without_labels_has_forward_steps_only(opened, tmp_path):
    layers = {name: spec.Activation("tanh") if "relu" in name else layer for name, layer in spec.MINI.layers.items()}
    net = AlexNet(dataclasses.replace(spec.MINI, layers=layers), num_classes=3, input_size=16)
    pass_ = record(net, np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype("float32"))
    page = opened(to_html(pass_, tmp_path / "step.html"))
    for step in pass_:
        assert heading(page) == f"{step.name} → forward"
        page.keyboard.press("ArrowRight")
    assert page.locator("#track button").count() == len(net.layers)
    assert "a forward pass as in testing" in page.locator("#summary").inner_text()


def test_the_address_names_the_step(opened, path, small_pass):
    page = opened(path, "#pool2-backward")
    assert heading(page) == "pool2 ← backward"
    page.evaluate("location.hash = '#fc7-forward'")
    page.wait_for_function("document.querySelector('main h2').textContent.startsWith('fc7')")
    assert page.locator("#slider").input_value() == str(small_pass.names.index("fc7"))


def test_keys(opened, path):
    page = opened(path)
    press = page.keyboard.press
    press("ArrowRight")
    assert heading(page) == "relu1 → forward"
    press("b")
    assert heading(page) == "relu1 ← backward"
    press("ArrowLeft")
    assert heading(page) == "norm1 ← backward"
    press("End")
    assert heading(page) == "conv1 ← backward"
    press("Home")
    assert heading(page) == "conv1 → forward"
    click(page, "#output", 8, 8, (16, 16))
    for key, cell in (("w", (7, 8)), ("a", (7, 7)), ("s", (8, 7)), ("d", (8, 8))):
        press(key)
        assert lit(page, "#output") == cell
    page.locator("#output .frame").focus()
    for key, cell in (("ArrowUp", (7, 8)), ("ArrowLeft", (7, 7)), ("ArrowDown", (8, 7)), ("ArrowRight", (8, 8))):
        press(key)  # within a map the arrows move the cell
        assert lit(page, "#output") == cell
    before = page.evaluate("look.right")
    press("]")
    assert page.evaluate("look.right") == (before + 1) % 32
    press("[")
    assert page.evaluate("look.right") == before
    page.evaluate("go(4)")  # conv2, whose kernels read a half of the maps each
    for _ in range(17):
        press(".")
        assert page.evaluate("look.left < 16") == page.evaluate("look.right < 32")
    press(",")
    press("Home")
    press("?")
    assert page.locator("#help").is_visible()
    press("Escape")
    assert not page.locator("#help").is_visible()


def test_the_cell_slides_and_stops(opened, path):
    page = opened(path)
    page.keyboard.press("Space")
    before = lit(page, "#output")
    page.wait_for_function(f"look.cell[1] !== {before[1]}")
    assert page.locator("#play").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    assert page.locator("#play").get_attribute("aria-pressed") == "false"


def test_the_cell_slides_from_the_last_unit_to_the_first(opened, path):
    """The last row of a grid of units may have places left over: 512 units, 23 in a row."""
    page = opened(path, "#fc6-forward")
    page.evaluate("change({cell: [22, 5]})")
    page.keyboard.press("Space")
    page.wait_for_function("look.cell[0] === 0", timeout=3000)


# ---------------------------------------------------------------- what it shows


def test_a_click_draws_the_receptive_field(opened, path, small_pass):
    page = opened(path)
    cells = {"conv1": (0, 15), "pool1": (7, 3), "conv2": (4, 0), "norm2": (2, 6), "conv4": (3, 1), "pool5": (1, 0)}
    for name, cell in cells.items():
        go(page, name, "forward")
        click(page, "#output", *cell, small_pass[name].forward.y.shape[2:])
        assert lit(page, "#output") == cell
        assert field(page) == receptive_field(small_pass.rows, name, cell)


def test_on_the_way_back_the_field_is_that_of_the_input(opened, path, small_pass):
    page = opened(path)
    for name, source, cell in (("conv2", "pool1", (7, 2)), ("pool2", "norm2", (0, 5))):
        go(page, name, "backward")
        click(page, "#input", *cell, small_pass[name].backward.dx.shape[2:])
        assert field(page) == receptive_field(small_pass.rows, source, cell)


def test_a_pixel_of_the_image_is_its_own_field(opened, path):
    page = opened(path, "#conv1-backward")
    click(page, "#input", 3, 11, (16, 16))
    assert field(page) == (3, 11, 4, 12)


def test_units_depend_on_the_whole_image(opened, path):
    assert field(opened(path, "#fc7-forward")) == (0, 0, 16, 16)


@pytest.mark.parametrize("rounded", [False, True])
def test_numbers_are_those_of_the_arrays(opened, tmp_path, small_pass, monkeypatch, rounded):
    """As float32; of a large net to the rounding of its page, 6e-5 of the largest."""
    if rounded:
        monkeypatch.setattr("tinyalex.step.numbers.EXACT", 1000)
    page = opened(to_html(small_pass, tmp_path / "step.html"))
    for place, step in enumerate(small_pass):
        for name in ("x", "y", "dy", "dx"):
            if getattr(step, name) is None:
                continue
            expected = getattr(step, name)[0].ravel().astype("float32")
            shown = page.evaluate(f"Array.from(maps(steps[{place}].arrays.{name}).data)")
            error = 7e-5 * np.abs(expected).max() if rounded else 0
            np.testing.assert_allclose(shown, expected, rtol=0, atol=error, err_msg=f"{step} {name}")


@pytest.mark.parametrize(
    ("direction", "here", "there", "size", "seen"),
    [("forward", "output", "input", (8, 8), 9), ("backward", "input", "output", (16, 16), 4)],
)
def test_a_kind_without_a_drawing_of_its_own(opened, path, small_pass, direction, here, there, size, seen):
    """Its window, the numbers in it, and the result."""
    page = opened(path)
    page.evaluate("for (const name of ['pool1', 'relu2', 'dropout6']) about.layers[name].kind = 'another'")
    for name in ("pool1", "relu2", "dropout6"):
        go(page, name, direction)
        if name == "pool1":
            click(page, f"#{here}", 6, 4, size)
            assert page.locator(f"#{there} rect.window").count() == 1
        assert page.locator("#why .grid > span").count() == (seen if name == "pool1" else 1)
        step = getattr(small_pass[name], direction)
        result = (step.y if direction == "forward" else step.dx)[0]
        c, row, column = page.evaluate(f"[look.{'right' if direction == 'forward' else 'left'}, ...look.cell]")
        expected = result[c, row, column] if result.ndim == 3 else result[23 * row + column]  # 512 units, 23 in a row
        shown = value_of(page.locator("#why .sum .figure").inner_text())
        assert shown == pytest.approx(expected, rel=1e-3, abs=7e-5 * np.abs(result).max())


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_terms_add_up_to_the_number(opened, path, direction):
    """Of some cells each: the products, the bias, and what was recorded."""
    page = opened(path)
    for name in ("conv1", "conv2", "conv3", "conv5", "fc6", "fc8"):
        go(page, name, direction)
        for _ in range(3):
            *terms, recorded = [value_of(text) for text in page.locator("#why .sum .figure").all_inner_texts()]
            signs = [-1 if "−" in text else 1 for text in page.locator("#why .sum > b").all_inner_texts()]
            total = terms[0] + sum(sign * term for sign, term in zip(signs, terms[1:], strict=False))
            largest = page.evaluate("focusOf(steps[look.step]).largest")
            assert total == pytest.approx(recorded, rel=5e-3, abs=1e-3 * largest), name
            if name.startswith("conv"):
                page.keyboard.press("a")
                page.keyboard.press("s")


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_normalisation_is_worked_out(opened, path, small_pass, direction):
    page = opened(path, f"#norm1-{direction}")
    click(page, "#output" if direction == "forward" else "#input", 5, 9, (16, 16))
    channel = page.evaluate("look.right")
    step = getattr(small_pass["norm1"], direction)
    expected = (step.y if direction == "forward" else step.dx)[0, channel, 5, 9]
    assert value_of(page.locator("#why .figure.lit").inner_text()) == pytest.approx(expected, rel=2e-2, abs=1e-6)
    seen = [j for j in range(channel - 2, channel + 3) if j // 16 == channel // 16 and 0 <= j < 32]
    labels = page.locator("#why .line .label").all_inner_texts()
    assert labels == [f"map {j + 1}" for j in seen]


def test_the_cell_that_wins_in_pooling(opened, path, small_pass):
    page = opened(path, "#pool1-forward")
    x, channel = small_pass["pool1"].forward.x[0], page.evaluate("look.right")
    for cell in ((0, 0), (3, 5), (7, 7)):
        click(page, "#output", *cell, (8, 8))
        top, left = 2 * cell[0], 2 * cell[1]
        seen = x[channel, top : top + 3, left : left + 3]
        i, j = np.unravel_index(seen.argmax(), seen.shape)
        assert lit(page, "#input") == (top + i, left + j)
        assert f"x[{channel}, {top + i}, {left + j}] wins" in page.locator("#why .sum").inner_text()


def test_pooling_sends_the_gradient_to_the_cell_that_won(opened, path, small_pass):
    page = opened(path, "#pool1-backward")
    dx = small_pass["pool1"].backward.dx[0]
    channel = page.evaluate("look.left")
    for cell in ((2, 2), (3, 4), (6, 9), (15, 15)):
        click(page, "#input", *cell, (16, 16))
        shown = value_of(page.locator("#why .figure.lit").inner_text())
        assert shown == pytest.approx(dx[(channel, *cell)], abs=1e-4 * np.abs(dx).max())
        total = page.evaluate(
            """() => { const step = steps[look.step], drawn = arraysOf(step), layer = layerOf(step);
            const winners = {...array(layer.argmax), H: drawn.dy.H, W: drawn.dy.W};
            return windowsContaining(layer.window, look.cell, drawn.dy.H, drawn.dy.W).flat()
              .filter(({u, v, i, j}) => at(winners, look.left, u, v) === i * 3 + j)
              .reduce((sum, {u, v}) => sum + at(drawn.dy, look.left, u, v), 0); }"""
        )
        assert total == pytest.approx(dx[(channel, *cell)], abs=1e-3 * np.abs(dx).max())


def test_the_mean_and_its_shares(opened, tmp_path):
    """Windows of 3 x 3, and of 2 x 2 in the last corner; what is worked out on the page is what was recorded."""
    net = AlexNet("cifar10-quick", num_classes=3, input_size=16)
    pass_ = record(net, np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype("float32"), [1])
    page = opened(to_html(pass_, tmp_path / "step.html"), "#pool2-forward")
    channel = page.evaluate("look.right")
    for cell, cells in (((1, 2), 9), ((3, 3), 4)):
        click(page, "#output", *cell, (4, 4))
        text = page.locator("#why .sum").inner_text()
        assert f"÷ {cells} cells" in text
        total, y = (value_of(part) for part in re.findall(r"(?:sum|y =)\s+([^\s÷]+)", text))
        expected = pass_["pool2"].forward.y[(0, channel, *cell)]
        assert total / cells == pytest.approx(expected, rel=5e-3)
        assert y == pytest.approx(expected, rel=5e-3)
    go(page, "pool2", "backward")
    click(page, "#input", 6, 4, (8, 8))
    channel = page.evaluate("look.left")
    dy, dx = pass_["pool2"].backward.dy[0, channel], pass_["pool2"].backward.dx[0, channel, 6, 4]
    expected = np.array([dy[2, 1] / 9, dy[2, 2] / 9, dy[3, 1] / 6, dy[3, 2] / 6])
    shown = np.array([value_of(text) for text in page.locator("#why .grid > span").all_inner_texts()])
    np.testing.assert_allclose(shown / shown.sum(), expected / dx, rtol=2e-2)  # the grid has a unit of its own


def test_the_gradient_of_a_kernel(opened, path, small_pass):
    page = opened(path)
    for name in ("conv1", "conv2", "conv4"):
        go(page, name, "backward")
        kernel, channel = page.evaluate("[look.right, look.left]")
        dw = small_pass[name].backward.grads["w"]
        shown = page.evaluate(
            """() => { const {x, dy} = arraysOf(steps[look.step]);
            return Array.from(kernelGradient(layerOf(steps[look.step]), x, dy, look.right, [look.left]).data); }"""
        )
        expected = dw[kernel, channel % dw.shape[1]].ravel()
        np.testing.assert_allclose(shown, expected, atol=2e-3 * np.abs(dw).max())


def test_the_matrix_product(opened, path, small_pass):
    """The marked patch times the marked kernel is y without its bias."""
    page = opened(path, "#conv2-forward")
    click(page, "#output", 3, 6, (8, 8))
    kernel = page.evaluate("look.right")
    text = page.locator("#block .note").inner_text()
    bias = small_pass.params["conv2.b"][kernel]
    expected = small_pass["conv2"].forward.y[0, kernel, 3, 6] - bias
    assert value_of(text.removeprefix("the sum: ")) == pytest.approx(expected, rel=1e-2, abs=1e-2)
    first = page.locator("#patches figcaption").inner_text()
    row = int(float(page.locator("#patches rect.cell").get_attribute("y")))
    assert int(re.search(r"patches (\d+) to", first)[1]) - 1 + row == 3 * 8 + 6


def test_the_loss(opened, path, small_pass):
    page = opened(path, "#loss-forward")
    loss = page.locator("#why .sum .figure.lit").inner_text().removeprefix("L = −log p = ")
    assert value_of(loss) == pytest.approx(small_pass.loss, rel=1e-3)
    assert page.locator(".flow .line.lit .label").all_inner_texts() == ["heart"] * 3
    assert page.locator(".flow h4").all_inner_texts() == ["logits x", "probabilities p", "gradient dx"]
    p = 100 * small_pass.probabilities[0, 2]
    assert f"without it, as in testing, its probability is {p:.1f} %" in page.locator("#why .words").inner_text()


def test_words_count_from_1_and_the_map_that_they_name_is_lit(opened, path):
    page = opened(path, "#conv2-forward")
    page.evaluate("change({right: 3, left: 2, cell: [0, 6]})")
    assert page.locator("#output figcaption").inner_text().endswith("map 4 of 64")
    assert page.locator("#input figcaption").inner_text().endswith("map 3 of 32")
    assert page.locator("#output .note").inner_text().startswith("y[3, 0, 6] = ")
    assert page.locator("#kernel figcaption").inner_text().startswith("kernel 4 of 64")
    assert "map 4 of 64 is the one above" in page.locator("#maps .note").inner_text()
    rows, columns = (int(size) for size in page.locator("#maps canvas").evaluate("c => [c.height, c.width]"))
    assert lit(page, "#maps") == (0, 3 * 9 - 1)  # the fourth of a row: maps of 8 x 8, a dot between them
    assert (rows, columns) == (2 * 3 * 9 + 2 - 1, 12 * 9 - 1)  # of each column 32 maps in 3 rows, and a gap of 2
    page.keyboard.press("]")
    assert page.locator("#output figcaption").inner_text().endswith("map 5 of 64")


def test_figure_widget_and_page_say_the_same(opened, path, small_pass):
    """The words of the cell that each shows: its map, its kernel, the field, the number."""
    written = " ".join(texts(show(small_pass, "conv2", (0, 6), 40, other=17)))
    _, left, bottom, _ = receptive_field(small_pass.rows, "conv2", (0, 6))  # in the corner: it ends at column 16
    page = opened(path, "#conv2-forward")
    page.evaluate("change({right: 40, left: 17, cell: [0, 6]})")
    told = " ".join(page.locator(".flow").inner_text().split())
    y = facts.number(small_pass["conv2"].forward.y[0, 40, 0, 6])
    for text in (
        "what the cell sees", "map 18 of 32", "map 41 of 64", "kernel 41 of 64", "its weights for map 18",
        say("field", bottom, 16 - left, 1, bottom, left + 1, 16), f"y[40, 0, 6] = {y}",
    ):  # fmt: skip
        assert text in written, text
        assert text in told, text


def test_a_window_past_the_map_stays_in_its_frame(opened, path):
    page = opened(path)
    for name, (H, W) in (("conv2", (8, 8)), ("pool1", (8, 8)), ("conv5", (4, 4))):
        go(page, name, "forward")
        for cell in ((0, 0), (0, W - 1), (H - 1, 0), (H - 1, W - 1)):
            page.evaluate(f"change({{cell: [{cell[0]}, {cell[1]}]}})")
            window, frame = (page.locator(f"#input {what}").bounding_box() for what in ("rect.window", ".frame"))
            assert frame["x"] - 2 <= window["x"]
            assert frame["y"] - 2 <= window["y"]
            assert window["x"] + window["width"] <= frame["x"] + frame["width"] + 2
            assert window["y"] + window["height"] <= frame["y"] + frame["height"] + 2


def test_a_click_in_a_map_with_padding(opened, path, small_pass):
    """The place of a cell is counted from the map's own corner, not from that of the padding."""
    page = opened(path, "#conv2-forward")
    frame = page.locator("#input .frame")
    box = frame.bounding_box()
    side = 8 + 2 * 2
    frame.hover(position={"x": (2 + 3.5) * box["width"] / side, "y": (2 + 1.5) * box["height"] / side})
    channel = page.evaluate("look.left")
    expected = small_pass["conv2"].forward.x[0, channel, 1, 3]
    name, _, value = page.locator("#input .note").inner_text().partition(" = ")
    assert name == f"x[{channel}, 1, 3]"
    assert value_of(value) == pytest.approx(expected, rel=2e-2, abs=1e-3)


def test_a_pass_with_hardly_any_gradient_says_so(opened, tmp_path):
    net = AlexNet("mini", num_classes=3, input_size=16)
    net.params["fc8.b"] = np.array([0, 3, 25], "float32")
    x = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype("float32")
    for label, told in ((2, True), (1, False)):
        pass_ = record(net, x, [label], classes=("ring", "star", "heart"))
        page = opened(to_html(pass_, tmp_path / f"{label}.html"), "#fc8-backward")
        assert page.locator(".faint").count() == told
        if told:
            assert "sure of the label “heart”" in page.locator(".faint").inner_text()
            assert "another label, such as “star”" in page.locator(".faint").inner_text()
        go(page, "fc8", "forward")
        assert page.locator(".faint").count() == 0


# ---------------------------------------------------------------- on a phone, in the dark, without a mouse


def test_a_phone_scrolls_in_one_direction_only(opened, path, small_pass):
    page = opened(path, phone=True)
    for number in range(len(small_pass)):
        page.evaluate(f"go({number})")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), small_pass[number]
    page.locator("#back").tap()
    assert heading(page) == "relu1 ← backward"
    assert page.locator("#next").inner_text() == "next ▶"


@pytest.mark.parametrize("phone", [False, True])
def test_the_buttons_are_on_the_screen_wherever_the_reader_is(opened, path, phone):
    page = opened(path, "#conv2-forward", phone=phone)
    for place in (0, 700, 5000):
        page.evaluate(f"scrollTo(0, {place})")
        for name, word in (("back", "◀ back"), ("next", "next ▶")):
            button = page.locator(f"#{name}")
            assert button.inner_text() == word
            box = button.bounding_box()
            assert 0 <= box["y"] < 300
            assert box["x"] + box["width"] <= page.viewport_size["width"]
            assert box["height"] < 50  # its text is one line


def test_a_touch_draws_the_receptive_field(opened, path, small_pass):
    page = opened(path, "#conv3-forward", phone=True)
    frame = page.locator("#output .frame")
    box = frame.bounding_box()
    frame.tap(position={"x": 2.5 * box["width"] / 4, "y": 1.5 * box["height"] / 4})
    assert field(page) == receptive_field(small_pass.rows, "conv3", (1, 2))


def test_the_dark_scheme_is_followed(opened, path):
    zero = "maps(steps[1].arrays.y)"  # relu1: the zeros have the page's own colour
    for dark, paper in ((False, [255, 255, 255]), (True, [21, 24, 29])):
        page = opened(path, "#relu1-forward", dark=dark)
        assert page.evaluate(f"colour(0, {zero}.largest)") == paper
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb({', '.join(map(str, paper))})"


def test_everything_to_press_has_a_name(opened, path):
    page = opened(path, "#conv2-forward")
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, [tabindex='0'], [role=img]")].filter((e) => !(
        e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.[0]?.textContent.trim())).length"""
    )
    assert nameless == 0
    assert page.evaluate("document.documentElement.lang") == "en"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
