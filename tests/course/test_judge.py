"""The judge and the student's process: what a test calls there, what comes back, and what no notebook can change."""

import dis
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course.sources import source
from tinyalex.course import cells
from tinyalex.course.judging.arrays import WireError
from tinyalex.course.judging.judge import Judge, line
from tinyalex.course.judging.serve import connected, serve
from tinyalex.course.judging.values import Values

HEAD = "import numpy as np\nimport tinyalex.course as _course\nfrom tinyalex.course import *\n"


def judged(student, test, given=""):
    """The outputs of a test cell, with the student's code in a process of its own, here a thread."""
    notebook = {"__name__": "__main__"}
    exec(student, notebook)
    cell = new_code_cell(given, metadata={"nbgrader": {"locked": True, "grade": False}})
    judge = Judge(new_notebook(cells=[cell]))
    with line(5) as called:
        thread = threading.Thread(target=serve, args=(called.address, called.token, notebook))
        thread.start()
        outputs = judge.outputs(HEAD + test, called)
        thread.join()
    return outputs


def error(*args, **kwargs):
    """What the test says is wrong, or ""."""
    return "".join(output.evalue for output in judged(*args, **kwargs) if output.output_type == "error")


# ---------------------------------------------------------------- values


VALUES = [
    "None",
    "True",
    "7",
    "2**70",
    "-0.5",
    "float('inf')",
    "'text \\u00e9'",
    "[1, [2.5, None]]",
    "(1, 'two', (3,))",
    "{'a': (1, 2), 3: [4], (5, 6): {}}",
    "{1, 2}",
    "frozenset({3})",
    "np.float32(0.1)",
    "np.int64(-3)",
    "np.bool_(True)",
    "np.dtype('float32')",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_back_as_it_went(value):
    test = f"got = call(same_again, {value})\nthat((got, type(got)) == ({value}, type({value})), f'{{got!r}}')"
    assert error("def same_again(x):\n    return x", test) == ""


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool", "complex64", "<U3"])
@pytest.mark.parametrize(
    "layout",
    ["x", "x.T", "x[::2]", "x[:, ::-1]", "x[:0]", "np.array(x[1, 1])", "x[None]", "np.broadcast_to(x[0], x.shape)"],
)
def test_an_array_comes_back_as_it_went(dtype, layout):
    test = f"""
x = np.arange(12).reshape(4, 3).astype('{dtype}')
x = {layout}
got = call(copied, x)
that(type(got) is type(x) and got.dtype == x.dtype and got.shape == x.shape and (got == x).all(), repr(got))
"""
    assert error("def copied(x):\n    return x.copy()", test) == ""


def test_nan_comes_back():
    test = "that(np.isnan(call(f, np.array([np.nan]))[0]) and np.isnan(call(f, float('nan'))), 'no nan')"
    assert error("def f(x):\n    return x * 1", test) == ""


def test_the_layout_of_an_argument_is_kept():
    test = """
x = np.zeros((2, 4, 5, 3)).transpose(0, 3, 1, 2)
that(call(strides, x) == list(x.strides), 'other strides')
"""
    assert error("def strides(x):\n    return list(x.strides)", test) == ""


def test_a_returned_argument_or_view_is_one():
    test = """
x = np.arange(12.0).reshape(3, 4).T
got, part, fresh = call(three, x)
that(got is x, 'x itself')
that(np.shares_memory(part, x) and (part == x[1:, ::-1]).all(), f'a view: {part}')
that(not np.shares_memory(fresh, x), 'a copy')
"""
    assert error("def three(x):\n    return x, x[1:, ::-1], x.copy()", test) == ""


def test_two_halves_of_an_array_are_two_arguments():
    test = (
        "a, b = call(swapped, *np.split(np.arange(4.0), 2))\nthat(a.tolist() + b.tolist() == [2, 3, 0, 1], 'mixed up')"
    )
    assert error("def swapped(a, b):\n    return b, a", test) == ""


BEYOND = {
    "its strides overflow": ("|u1", [8, 1, 2, 2], [1, 1, 1 << 62, 1 << 62], 1 << 20),
    "its strides overflow downwards": ("|u1", [8, 1, 2, 3], [1, 1, -(1 << 62), -(1 << 62)], -8),
    "it begins before": ("|u1", [2], [-1], 0),
    "it begins far before": ("|u1", [1], [1], -1),
    "it ends behind": ("<f8", [2], [8], 8),
    "its last number ends behind": ("<f8", [1], [8], 9),
    "it has numbers of no size": ("<U0", [1 << 40], [0], 0),
    "it has sides below zero": ("|u1", [-1, -1], [1, 1], 0),
    "it has no size": ("|u1", [0, 1 << 62, 1 << 62], [1, 1, 1], 0),
    "it is large": ("|u1", [1 << 20, 1 << 20], [0, 0], 0),
    "it has more sides than strides": ("|u1", [1, 9], [1], 0),
    "its sides are no numbers": ("|u1", ["a", 1 << 40], [1, 1], 0),
    "it has too many sides": ("|u1", [1] * 65, [1] * 65, 0),
    "its place is no whole number": ("|u1", [1], [1], 0.0),
    "its sides are no whole numbers": ("|u1", [2.0], [1], 0),
}


@pytest.mark.parametrize("way", BEYOND)
def test_a_view_lies_within_its_array(way):
    values = Values("judge", lambda *_: None, lambda _: None)
    values.decoded(["array", "x", "|u1", [16], [0], 0], [bytes(range(16))])
    assert values.decoded(["view", "x", "<u2", [2, 7], [1, 2], 1], [])[1, 6] == 0x0F0E
    with pytest.raises((WireError, TypeError, ValueError)):
        values.decoded(["view", "x", *BEYOND[way]], [])


@pytest.mark.parametrize("shape", [[1 << 62, 4], [-1], [1 << 40, 0], [16.0], ["a"]])
def test_an_array_has_the_sizes_of_its_numbers(shape):
    values = Values("judge", lambda *_: None, lambda _: None)
    with pytest.raises((WireError, TypeError, ValueError)):
        values.decoded(["array", "x", "|u1", shape, [*range(len(shape))], 0], [bytes(0 in shape or 16)])


def test_a_list_can_be_filled_by_what_is_iterated():
    assert error("def f(n):\n    return range(n)", "that(call(f, 3) == [0, 1, 2], 'no list')") == ""
    assert error("def f(n):\n    return (i for i in range(n))", "that(call(f, 3) == [0, 1, 2], 'no list')") == ""


def test_a_generator_draws_on_where_the_student_stopped():
    test = """
rng, twin = np.random.default_rng(3), np.random.default_rng(3)
first, second = call(draw, rng), call(draw, rng)
that([first, second, rng.random()] == [twin.random() for _ in range(3)], 'other numbers')
"""
    assert error("def draw(rng):\n    return rng.random()", test) == ""


def test_a_generator_spawns_others_and_both_sides_count_them():
    test = """
rng, twin = np.random.default_rng([np.int64(3), 2**70]), np.random.default_rng([3, 2**70])
first, second = call(draw, rng), call(draw, rng)
that([first, second, rng.spawn(1)[0].random()] == [one.random() for one in twin.spawn(3)], 'other numbers')
(child,) = rng.spawn(1)
that(call(draw, child) == twin.spawn(1)[0].spawn(1)[0].random(), 'another child')
"""
    assert error("def draw(rng):\n    return rng.spawn(1)[0].random()", test) == ""


def test_a_generator_does_not_spawn_without_end():
    values = Values("judge", lambda *_: None, lambda _: None)
    body = values.encoded(np.random.default_rng(0), [])
    body[1] = "x"
    values.decoded(body, [])
    for spawned in (-1, 1 << 20, 0.5):
        with pytest.raises((WireError, TypeError)):
            values.take_over([["x", {**body[2], "seed": [[0], [], spawned]}]], [])


def test_arrays_of_objects_stay_where_they_are():
    assert "expected a NumPy array" in error(
        "import numpy as np\ndef f(x):\n    return np.array([x, None])", "same('y', call(f, 1), np.ones(2))"
    )


# ---------------------------------------------------------------- objects and functions


def test_a_student_s_object_is_called_over_the_wire():
    student = """
class Scale:
    def __init__(self, factor):
        self.factor = factor
    def forward(self, x):
        return self.factor * x
"""
    test = """
layer = call(Scale, 3.0)
same('y', call(layer.forward, np.ones(2)), np.full(2, 3.0))
layer.factor = 2.0
that(layer.factor == 2.0 and type(layer).__name__ == 'Scale', 'another factor')
same('y', call(layer.forward, np.ones(2)), np.full(2, 2.0))
"""
    assert error(student, test) == ""


def test_the_student_s_function_calls_what_the_test_passes():
    student = "def twice(f, x):\n    return f(f(x)), helper(x)"
    test = """
seen = []
def f(a):
    seen.append(a.dtype)
    return a + 1
two, helped = call(twice, f, np.zeros(2), given={'helper': lambda a: a - 1})
that(two.tolist() == [2, 2] and helped.tolist() == [-1, -1] and len(seen) == 2, f'{two} {helped} {seen}')
"""
    assert error(student, test) == ""


CALLED = {
    "a partial": "from functools import partial\ndef g(k, x):\n    return k * x + helper\nf = partial(partial(g), 2)",
    "an object": "class F:\n    def __call__(self, x):\n        return 2 * x + helper\nf = F()",
    "a method": "class F:\n    def g(self, x):\n        return 2 * x + helper\nf = F().g",
    "a vectorised function": "import numpy as np\nf = np.vectorize(lambda x: 2 * x + 1)",
}


@pytest.mark.parametrize("form", CALLED)
def test_what_can_be_called_is_a_function(form):
    test = "same('y', call(f, np.ones(2), given={'helper': 1}), np.full(2, 3.0))"
    assert error(CALLED[form], test) == ""


MAPS = ["OrderedDict(a=x)", "defaultdict(list, a=x)", "Counter(a=x)", "np.load(file)"]


@pytest.mark.parametrize("kind", MAPS)
def test_a_dict_of_a_library_is_a_dict(kind):
    student = (
        "import io\nimport numpy as np\nfrom collections import *\n"
        f"def f(x):\n    file = io.BytesIO()\n    np.savez(file, a=x)\n    file.seek(0)\n    return {kind}"
    )
    test = "got = call(f, np.ones(2))\nthat(type(got) is dict and got['a'].tolist() == [1, 1], repr(got))"
    assert error(student, test) == ""


PLAIN = {
    "Rows([1, x])": "[1, x]",
    "[Rows([Sizes(a=x)])]": "[[{'a': x}]]",
    "Sizes(a=Rows())": "{'a': []}",
    "Decimal('0.5')": "0.5",
    "Fraction(1, 4)": "0.25",
    "{'a': 1}.keys()": "{'a': 2}.keys()",
}


@pytest.mark.parametrize("value", PLAIN)
def test_what_only_holds_values_is_those_values(value):
    student = "from decimal import Decimal\nfrom fractions import Fraction\n"
    student += f"class Rows(list):\n    pass\nclass Sizes(dict):\n    pass\ndef f(x):\n    return {value}"
    expected = PLAIN[value]
    test = f"x = 'x'\ngot = call(f, x)\nthat(got == {expected} and type(got) is type({expected}), repr(got))"
    assert error(student, test) == ""


@pytest.mark.parametrize("method", ["forward", "__call__"])
def test_a_list_with_methods_is_an_object(method):
    student = (
        f"class Net(list):\n    def {method}(self, x):\n        return sum(self) * x\ndef f():\n    return Net([1, 2])"
    )
    use = "net" if method == "__call__" else "net.forward"
    assert error(student, f"net = call(f)\nthat(call({use}, 2) == 6, 'no')") == ""


def test_keys_are_a_set():
    student = "def f(p, v):\n    return [p.keys() == v.keys(), p.keys() - v.keys(), [*p.keys()]]"
    test = "that(call(f, Arrays(a=1), {'a': 2}) == [True, set(), ['a']], 'no')"
    assert error(student, test, given="class Arrays(dict):\n    pass") == ""


def test_an_object_of_the_test_is_used_and_what_is_written_into_its_arrays_arrives():
    given = "class Link:\n    def __init__(self):\n        self.received, self.arrays = 0, {'w': np.zeros(3)}\n"
    given = (
        "import numpy as np\n"
        + given
        + "    def send(self, array):\n        self.received += array.nbytes\n        return array + 1\n"
    )
    student = """
def send(link, x):
    y = link.send(x)
    w = link.arrays['w']
    w[1] = 5
    link.arrays['v'] = y
    return y
"""
    test = """
link = Link()
got = call(send, link, np.zeros(2))
that(link.received == 16 and got.tolist() == [1, 1], f'{link.received} {got}')
that(link.arrays['w'].tolist() == [0, 5, 0] and link.arrays['v'].tolist() == [1, 1], f'{link.arrays}')
"""
    assert error(student, test, given) == ""


def test_what_is_written_into_a_list_or_a_dict_arrives():
    student = """
def fill(velocity, seen, nested):
    velocity['w'] = velocity['w'] + 1
    velocity['b'] = np.zeros(1)
    seen.append((len(seen), velocity['w']))
    del seen[0]
    nested['deep'][0]['x'] = seen
"""
    test = """
w, seen, nested = np.ones(2), ['first'], {'deep': [{}]}
velocity = {'w': w}
call(fill, velocity, seen, nested, fills=(velocity, seen, nested))
that(velocity['w'].tolist() == [2, 2] and w.tolist() == [1, 1] and list(velocity) == ['w', 'b'], f'{velocity} {w}')
that(seen == [(1, velocity['w'])] and nested['deep'][0]['x'] is seen, f'{seen} {nested}')
"""
    assert error("import numpy as np" + student, test) == ""


def test_a_given_list_that_a_function_has_emptied_is_full_in_the_next_test():
    cell = new_code_cell("rows = [1, 2]\ncounts = {}", metadata={"nbgrader": {"locked": True, "grade": False}})
    judge, notebook = Judge(new_notebook(cells=[cell])), {"f": lambda rows, counts: counts.update(n=rows.pop())}
    for _ in range(2):
        with line(5) as called:
            thread = threading.Thread(target=serve, args=(called.address, called.token, notebook))
            thread.start()
            test = "assert (rows, counts) == ([1, 2], {})\nf(rows, counts)\nassert (rows, counts) == ([1], {'n': 2})"
            assert judge.outputs(test, called) == []
            thread.join()


def test_a_list_that_contains_itself_is_one():
    student = "def f(x):\n    x.append(x)\n    return x"
    assert error(student, "x = []\ngot = call(f, x, fills=(x,))\nthat(got is x and x[0] is x, 'another')") == ""


def test_a_record_has_its_names():
    given = "from typing import NamedTuple\nclass Row(NamedTuple):\n    name: str\n    size: int\n"
    student = "def f(rows):\n    return [row.name for row in rows if row != rows[-1]]"
    assert error(student, "that(call(f, [Row('a', 1), Row('b', 2)]) == ['a'], 'no names')", given) == ""


def test_a_record_is_of_the_given_class():
    given = "from typing import NamedTuple\nclass Row(NamedTuple):\n    name: str\n    size: int\n"
    student = given + "def f(row):\n    match row:\n        case Row(size=3):\n            return isinstance(row, Row)"
    assert error(student, "that(call(f, Row('a', 3)) is True, 'another')", given) == ""
    other = "class Row:\n    pass\ndef f(row):\n    return row.size"
    assert error(other, "that(call(f, Row('a', 3)) == 3, 'no size')", given) == ""


# ---------------------------------------------------------------- errors


def test_an_error_is_of_the_type_that_it_was():
    student = "def f(x):\n    raise FloatingPointError('too far')\n"
    student += "class Own(Exception):\n    pass\ndef g():\n    raise Own('no')"
    test = "try:\n    call(f, 1)\nexcept FloatingPointError as error:\n    that(str(error) == 'too far', str(error))\n"
    assert error(student, test) == ""
    (output,) = judged(student, "call(f, 1, hint='read it again')")
    assert output.ename == "FloatingPointError"
    assert "read it again" in output.evalue
    assert "FloatingPointError: too far" in output.traceback[-2]
    assert not any("tinyalex" in one for one in output.traceback)
    assert error(student, "call(g)") == "Own: no"
    own = "class Diverged(FloatingPointError):\n    pass\ndef f(x):\n    raise Diverged('too far')"
    assert error(own, "try:\n    call(f, 1)\nexcept FloatingPointError:\n    pass") == ""
    assert error(own, "call(f, 1)") == "Diverged: too far"
    loop = "class End(StopIteration):\n    pass\ndef f(x):\n    raise End"
    assert "End" in error(loop, "[*map(lambda x: call(f, x), [1])]")


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("pass", "name 'f' is not defined"),
        ("f = 3", "expected a function of your own"),
        ("def f(x):\n    x[0] = 9", "f changed its argument x"),
        ("def f(x):\n    exit()", "None"),
        ("def f(x):\n    from tinyalex import ReLU\n    return ReLU().forward(x)", "f calls tinyalex"),
    ],
)
def test_what_goes_wrong_is_told(student, words):
    assert words in error(student, "call(f, np.ones(2))")


def test_an_error_in_a_function_of_the_test_reaches_the_student():
    student = "def f(g):\n    try:\n        return g()\n    except ZeroDivisionError:\n        return 'caught'"
    assert error(student, "that(call(f, lambda: 1 / 0) == 'caught', 'not caught')") == ""


# ---------------------------------------------------------------- what no notebook can change


DEEDS = {  # each gave full marks for zeros where tests ran in the student's process
    "tolerances": "sys.modules['tinyalex.course.checks'].TOLERANCES.update(float32=1e9, float64=1e9)",
    "another same": "sys.modules['tinyalex.course.checks'].same.__code__ = (lambda *a, **k: None).__code__",
    "names": "same = that = call = lambda *a, **k: None",
    "built-ins": "import builtins\nbuiltins.sum = builtins.max = builtins.abs = builtins.len = lambda *a, **k: 0",
    "imports": "import builtins\nbuiltins.__import__ = lambda *a, _real=builtins.__import__, **k: _real(*a, **k)",
    "numpy": "np.array_equal = np.abs = np.isclose = np.argwhere = np.max = lambda *a, **k: np.zeros(1)",
    "a finder": "sys.meta_path.insert(0, type('F', (), {'find_spec': lambda *a: None})())",
    "a thread": "import threading\nthreading.Thread(target=lambda: time.sleep(9), daemon=True).start()",
    "the watch": "import tinyalex.course.guard as g\ng.call = lambda f, *a, **k: expected",
    "the collector": "import gc\ndef f(x):\n    return next((a for a in gc.get_objects() if str(a) == '[2. 2.]'), x)",
    "the frame": "def f(x):\n    return sys._getframe(1).f_locals.get('expected', np.zeros(2))",
}
STUDENT = """
import sys, time
import numpy as np
import tinyalex.course
def f(x):
    return np.zeros_like(x)
notebook = dict(globals())
exec(sys.argv[3], notebook)
from tinyalex.course.judging.serve import serve
serve(int(sys.argv[1]), sys.argv[2], notebook)
"""


@pytest.mark.parametrize("deed", DEEDS)
def test_a_deed_in_the_student_s_process_makes_no_wrong_answer_right(deed):
    judge = Judge(new_notebook(cells=[]))
    test = HEAD + "expected = np.full(2, 2.0)\nsame('y', call(f, np.ones(2)), expected)"
    with line(20) as called:
        words = [sys.executable, "-c", STUDENT, str(called.address), called.token, DEEDS[deed]]
        with subprocess.Popen(words, stderr=subprocess.PIPE) as student:
            (output,) = judge.outputs(test, called)
            student.kill()
    assert output.output_type == "error"


def test_a_frame_of_the_test_is_not_among_the_student_s():
    student = """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        if 'expected' in frame.f_locals:
            return frame.f_locals['expected']
        frame = frame.f_back
    return x
"""
    assert "expected 2" in error(student, "expected = np.full(2, 2.0)\nsame('y', call(f, np.ones(2)), expected)")


@pytest.mark.parametrize("name", ["__class__", "_hidden", "__globals__"])
def test_private_attributes_of_the_test_s_objects_are_closed(name):
    student = f"def f(g):\n    return getattr(g, '{name}').__name__"
    said = error(student, "class G:\n    _hidden = 'no'\nthat(call(f, G()) in ('G', ''), 'open')")
    assert name == "__class__" or "not open" in said


def test_a_process_that_does_not_call_is_not_waited_for():
    judge = Judge(new_notebook(cells=[]))
    with line(0.2) as called:
        (output,) = judge.outputs("f(1)", called)
    assert "does not answer" in output.evalue


def test_one_who_calls_and_says_nothing_holds_the_student_s_process_up_for_a_moment_only():
    begun = time.monotonic()
    with line(20) as called, connected(called.address):
        thread = threading.Thread(target=serve, args=(called.address, called.token, {"f": lambda x: 2 * x}))
        thread.start()
        assert Judge(new_notebook(cells=[])).outputs("assert f(1) == 2", called) == []
        thread.join()
    assert time.monotonic() - begun < 10


def test_a_test_leaves_no_name_in_the_notebook():
    """In all assignments: what a test cell assigns begins with an underscore."""
    for number in range(1, 7):
        for cell in source(f"assignment{number}").cells:
            if cells.is_tests(cell):
                code = compile(cell.source, "<test>", "exec")
                stored = {one.argval for one in dis.get_instructions(code) if one.opname == "STORE_NAME"}
                assert {name for name in stored if not name.startswith("_")} == set(), cells.grade_id(cell)
