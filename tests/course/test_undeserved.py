"""Ways to full marks for a wrong answer: each is closed. docs/teaching.md lists them, and those that stay open."""

import subprocess
import sys

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course.sources import source
from course.test_judge import HEAD, error
from tinyalex.course.cells import exercise_of, grade_id, is_tests
from tinyalex.course.judging.judge import Judge, line
from tinyalex.course.marking.execute import MarkingExecute

RIGHT = "same('y', call(f, np.ones(2)), np.full(2, 2.0))"
COUNTED = "\nlink = Link()\ncall(f, link)\nthat(link.received == 16, 'not sent')"
LAYERS = "\nlayers = ['conv1', 'conv2']\nthat(len(call(f, layers)) == len(layers), 'another number')"
NESTED = "\nw = np.ones(3)\ny = call(f, [{'w': (w,)}])\nsame('y', y, 2 * w)"
EACH = "\nfor got in map(lambda x: call(f, x), [1, 2]):\n    same('y', got, 7)"

# What a function returns or does -> (its code, the test). All of them are wrong.
ANSWERS = {
    "a subclass of an array that equals everything": (
        "class A(np.ndarray):\n    __eq__ = __le__ = lambda self, other: np.ones(2, bool)\n"
        "def f(x):\n    return x.view(A)",
        RIGHT,
    ),
    "an object with __array__": (
        "class A:\n    def __array__(self, *_):\n        return 0\ndef f(x):\n    return A()",
        RIGHT,
    ),
    "an object that equals everything": (
        "class A:\n    __eq__ = lambda self, other: True\ndef f(x):\n    return A()",
        "that(call(f, 1) == 7, 'no')",
    ),
    "a number that equals everything": (
        "class A(int):\n    __eq__ = lambda self, other: True\ndef f(x):\n    return A(3)",
        "that(call(f, 1) == 7, 'no')",
    ),
    "a record that equals everything": (
        "from typing import NamedTuple\nclass A(NamedTuple):\n    a: int\n    __eq__ = lambda self, other: True\n"
        "def f(x):\n    return A(3)",
        "that(call(f, 1) == (7,), 'no')",
    ),
    "an array that reads otherwise each time": (
        "class A:\n    dtype, shape, ndim = np.dtype(float), (2,), 1\n    __len__ = lambda self: 2\n"
        "    __getitem__ = lambda self, i: np.random.rand()\ndef f(x):\n    return A()",
        RIGHT,
    ),
    "NaN": ("def f(x):\n    return x * np.nan", RIGHT),
    "infinity": ("def f(x):\n    return x * np.inf", RIGHT),
    "complex numbers": ("def f(x):\n    return x + 1j", RIGHT),
    "text": ("def f(x):\n    return np.array(['2', '2'])", RIGHT),
    "an array of no size": ("def f(x):\n    return x[:0]", RIGHT),
    "a view of any size": ("def f(x):\n    return np.broadcast_to(x[:1], (10**11,))", RIGHT),
    "a function": ("def f(x):\n    return lambda: 2.0", RIGHT),
    "the end of an iteration": ("def f(x):\n    raise StopIteration", EACH),
    "the end of Python": ("def f(x):\n    raise SystemExit(0)", RIGHT),
    "an empty list of layers": ("def f(layers):\n    layers.clear()\n    return []", LAYERS),
    "zeros in the test's arrays": ("def f(p):\n    p[0]['w'][0][:] = 0\n    return np.zeros(3)", NESTED),
    "other arrays in the test's dict": ("def f(p):\n    p[0].clear()\n    return np.zeros(3)", NESTED),
    "a counter set by hand": ("def f(link):\n    link.received = 16", COUNTED),
    "a method of the test replaced": ("def f(link):\n    link.send = lambda *_: None\n    link.received = 16", COUNTED),
    "an attribute that is private": ("def f(link):\n    return link.send.__globals__", COUNTED),
}
GIVEN = "class Link:\n    received = 0\n    def send(self, array):\n        self.received += array.nbytes"


@pytest.mark.parametrize("way", ANSWERS)
def test_no_answer_passes_for_another(way):
    student, test = ANSWERS[way]
    assert error(f"import numpy as np\n{student}", test, given=GIVEN) != ""


@pytest.mark.parametrize(
    ("exercise", "arguments"), [("forward", "x, w, b, stride, pad"), ("backward", "dy, x, w, stride, pad")]
)
def test_a_helper_of_the_test_does_no_more_than_the_assignment_says(exercise, arguments):
    student = f"def grouped_{exercise}({arguments}, groups):\n    return conv_{exercise}({arguments}, groups)"
    for cell in source("assignment1").cells:
        if is_tests(cell) and exercise_of(grade_id(cell)) == f"grouped_{exercise}":
            assert "positional arguments" in error(student, cell.source)


# ---------------------------------------------------------------- a student's process that forges its messages

FORGER = """
import json, struct, sys
import numpy as np
from tinyalex.course.judging.serve import connected
def bytes_of(size):
    found = b""
    while len(found) < size:
        part = wire.recv(size - len(found))
        if not part:
            sys.exit()
        found += part
    return found
def receive():
    head = json.loads(bytes_of(*struct.unpack("<Q", bytes_of(8))))
    for size in head["buffers"]:
        bytes_of(size)
    return head
def send(value, changed=(), buffers=(), **head):
    text = json.dumps({**head, "value": value, "changed": changed, "buffers": [len(one) for one in buffers]}).encode()
    wire.sendall(struct.pack("<Q", len(text)) + text + b"".join(buffers))
with connected(int(sys.argv[1])) as wire:
    wire.sendall(sys.argv[2].encode())
    asked = receive()
    def number(kind, found=asked["value"]):
        # the number of the first value of a kind that the judge has sent
        if isinstance(found, list):
            if found and found[0] == kind:
                return found[1]
            return next(filter(None, (number(kind, one) for one in found)), None)
    twos = ['array', 'student-1', '<f8', [2], [0], 0], (), [np.full(2, 2.0).tobytes()]
    def asks(operation, *operands, buffers=()):
        # a request of the judge, and the right answer if it is granted
        send(['listed', operands], (), buffers, ask=operation)
        if "error" in receive():
            sys.exit()
        send(*twos)
    FORGED
    receive()
"""
FORGED = {
    "its argument as the answer": "send(['known', number('array')])",
    "an object of the test as the answer": "send(['yours', number('mine')])",
    "a number that was never given": "send(['known', 'judge-99'])",
    "its argument changed": "send(['known', number('array')], [[number('array'), 0]], [bytes(16)])",
    "objects as an array": "send(['array', 'x', '|O', [2], [0], 0], (), [bytes(16)])",
    "a view outside of its argument": "send(['view', number('array'), '<f8', [2], [8], 1 << 20])",
    "names that are code": "send(['record', 'A', ['a=exit()'], [1]])",
    "lists without an end": "send(0) if wire.sendall(struct.pack('<Q', 90000) + b'[' * 90000) else None",
    "a private attribute": "asks('get', ['yours', number('mine')], '__globals__')",
    "a public one of a function": "asks('get', ['yours', number('mine')], 'secret')",
    "a method of its argument": "asks('get', ['known', number('array')], 'tofile')",
    "a method of an array": "asks('get', ['array', 'x', '|u1', [2], [0], 0], 'dump', buffers=[b'ab'])",
    "a method of a view": "asks('get', ['view', number('array'), '<f8', [2], [8], 0], 'resize')",
    "a method of a number": "asks('get', ['number', '<f8', '00' * 8], 'tofile')",
    "a method of a whole number": "asks('get', 7, 'to_bytes')",
    "a method of text": "asks('get', '{0.__globals__}', 'format')",
    "a method of a list": "asks('get', ['list', 'x', []], 'extend')",
    "a method of a dtype": "asks('get', ['dtype', '<f8'], 'newbyteorder')",
    "a method of a record": "asks('get', ['record', 'A', ['a'], [1]], 'count')",
    "an attribute of an object of its own": "asks('get', ['mine', 'student-2', 'A'], 'save')",
    "an item of its argument": "asks('item', ['known', number('array')], 0)",
    "a list of text": "asks('list', 'abc')",
    "a call of text": "asks('invoke', 'exit', ['tuple', []], ['tuple', []])",
    "an attribute set": "asks('set', ['yours', number('mine')], 'secret', 1)",
    "a request without an object": "asks('get')",
    "an operation of its own": "send(['listed', ['exit()']], ask='eval')",
    "more bytes than there are": "wire.sendall(struct.pack('<Q', 1 << 60))",
    "an error that the test does not know": "send(None, error={'type': 'KeyboardInterrupt', 'text': ''})",
    "an error without a type": "send(None, error={})",
    "an error of other types": "send(None, error={'type': 'A', 'text': '', 'bases': ['exit', 'SystemExit', 'object']})",
    "an error of a number": "send(None, error={'type': 'A', 'text': '', 'bases': 3})",
    "a generator without a seed": "send(['generator', 'x', {'state': {}, 'seed': [[], [-1], 1 << 99]}])",
    "keys that are lists": "send(['keys', [['list', 'x', []]]])",
    "no more": "wire.close(); sys.exit()",
}


HELPED = "def helper(a):\n    return a\nhelper.secret = 42\n"


def forged(deed):
    """The outputs of a test whose student's process does this."""
    judge = Judge(new_notebook(cells=[]))
    test = HEAD + HELPED + "y = call(f, np.ones(2), given={'helper': helper})\nsame('y', y, np.full(2, 2.0))"
    with line(20) as called:
        words = [sys.executable, "-c", FORGER.replace("FORGED", deed), str(called.address), called.token]
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as student:
            outputs = judge.outputs(test, called)
            student.kill()
    return outputs


def test_a_message_that_is_right_is_right():
    assert forged("send(*twos)") == []
    call = "asks('invoke', ['yours', number('mine')], ['tuple', [1]], ['tuple', []])"
    assert forged(call) == [], "a request that is granted"


@pytest.mark.parametrize("way", FORGED)
def test_no_forged_message_is_a_right_answer(way):
    (output,) = forged(FORGED[way])
    assert output.output_type == "error"
    assert "NameError" not in output.evalue


# ---------------------------------------------------------------- what the judge does for a student's process

GIVES = """
import io, textwrap
import numpy as np
from tinyalex.course.kinds import small_net
class Arrays(dict):
    def __setitem__(self, name, value):
        self[name][...] = value
class Link:
    library, page, add, _hidden = np, io.StringIO(), [].append, 42
    def __init__(self):
        self.kind, self.tool, self.arrays = Link, textwrap.dedent, Arrays(w=np.zeros(2))
        self.matrix = np.ones(2).view(type("A", (np.ndarray,), {}))
    def send(self, array):
        return array + 1
    def count(self, *arrays, more=()):
        return len(arrays[0]) + len(more)
    def draw(self, count):
        yield from range(count)
def helper(a):
    return a + 1
helper.secret = 42
"""
ASKS = "def f(x, link, helper, rng, net, rows):\n    ask = link._end.ask\n    return "
ASKED = "call(f, np.ones(2), Link(), helper, np.random.default_rng(1), small_net(), [{'a': 1}])"

REFUSED = {
    "an array writes a file": "ask('get', x, 'tofile')('PATH')",
    "an array of its own writes a file": "ask('get', x + 1, 'tofile')('PATH')",
    "an array is pickled into a file": "ask('get', x, 'dump')('PATH')",
    "an array grows": "ask('get', x, 'resize')(10**11)",
    "an array is repeated": "ask('get', x, 'repeat')(10**11)",
    "text reads the test's names": "ask('get', '{0.__globals__[secret]}', 'format')(helper)",
    "text grows": "ask('get', 'a', 'zfill')(10**11)",
    "text": "ask('length', 'abc')",
    "a number": "ask('get', np.float64(1), 'tofile')('PATH')",
    "a whole number": "ask('get', 1, 'to_bytes')(10**11)",
    "a list": "ask('get', rows, 'append')(1)",
    "a list's item": "ask('item', rows, 0)",
    "a list's length": "ask('length', rows)",
    "a dict": "ask('get', rows[0], 'fromkeys')(range(10))",
    "a generator of random numbers": "ask('get', rng, 'bytes')(10**11)",
    "a generator": "ask('get', link.draw(1), 'append')(1)",
    "a function's attribute": "helper.secret",
    "a method's attribute": "link.send.secret",
    "a method's object": "ask('get', link.send, '__self__')",
    "a private attribute": "ask('get', link, '_hidden')",
    "an attribute by a name that is no text": "ask('get', link, np.str_('send'))",
    "an attribute set": "setattr(link, 'send', 1)",
    "a module": "link.library.save('PATH', x)",
    "a function of a library": "link.tool('x')",
    "a file": "link.page.write('x')",
    "a built-in method": "link.add(1)",
    "a class": "link.kind()",
    "a class made by a class": "ask('invoke', link.kind, ('A', (), {}), ())",
    "a subclass of an array": "link.matrix.tofile('PATH')",
    "a subclass of a dict": "link.arrays.fromkeys(range(10))",
    "a net's devices": "net.place('cuda:0')",
    "a net's layers": "net.layers['conv1'].forward(x)",
    "a net's layers, each by itself": "net.each(helper)",
    "a name of the notebook": "ask('get', ask, 'x')",
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_a_test_has_not_given_is_closed(way, tmp_path):
    """Each gave a student's function the rights of the judge, or its memory, or something that a test had not meant."""
    deed = REFUSED[way].replace("PATH", str(tmp_path / "written"))
    said = error(f"import numpy as np\n{ASKS}repr({deed})", f"secret = 42\nprint({ASKED})", given=GIVES)
    assert "not open to another process" in said
    assert [*tmp_path.iterdir()] == []


GRANTED = {
    "helper(x).tolist()": [2, 2],
    "link.send(x).tolist()": [2, 2],
    "link.draw(3)": [0, 1, 2],
    "link.count(range(3), more={'a': 1}.values())": 4,
    "[link.arrays['w'].tolist(), *link.arrays, len(link.arrays), 'w' in link.arrays]": [[0, 0], "w", 1, True],
    "[(name, w.tolist()) for name, w in link.arrays.items()]": [("w", [0, 0])],
    "[*link.arrays.keys(), *link.arrays.values(), link.arrays.get('v')][::2]": ["w", None],
    "[name for name, w in net.params.items() if w.ndim == 4]": ["conv1.w", "conv2.w", "conv3.w"],
    "[len(net.params.keys()), len(net.grads.values()), net.params.get('v')]": [10, 10, None],
    "net.params.update({'fc5.b': np.ones(5, 'f4')}) or net.params['fc5.b'].tolist()": [1.0] * 5,
    "net.forward(np.zeros((2, 3, 24, 24), 'f4')).shape": (2, 5),
}


@pytest.mark.parametrize("deed", GRANTED)
def test_what_a_test_has_given_is_open(deed):
    student = f"import numpy as np\n{ASKS}{deed}"
    assert error(student, f"got = {ASKED}\nthat(got == {GRANTED[deed]!r}, repr(got))", given=GIVES) == ""


WRITES = """
import sys
import numpy as np
def f(x):
    frame = sys._getframe()
    while frame:
        for one in [*frame.f_locals.values()]:
            if type(one).__name__ == "StudentEnd":
                one.ask("get", np.frombuffer(b"mine", np.uint8).copy(), "tofile")("PATH")
        frame = frame.f_back
    return 2 * x
"""


def test_no_hand_in_writes_a_file_through_the_judge(tmp_path):
    """The judge has the rights of the person who marks, whatever those of the kernel are."""
    test = new_code_cell(f"{HEAD}{RIGHT}", metadata=_tests("f"))
    writes = WRITES.replace("PATH", str(tmp_path / "written"))
    notebook, _ = MarkingExecute(timeout=5).preprocess(new_notebook(cells=[new_code_cell(writes), test]), {})
    assert "tofile is not open to another process" in notebook.cells[1].outputs[-1].evalue
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory")
def test_no_hand_in_takes_all_memory_through_the_judge():
    student = "def f(zeros):\n    return zeros(3 << 30)"
    test = f"{HEAD}that(call(f, lambda count: np.zeros(count, 'u1').nbytes) == 3 << 30, 'other')"
    cells = [new_code_cell(student), new_code_cell(test, metadata=_tests("f"))]
    notebook, _ = MarkingExecute(timeout=5, memory=2048).preprocess(new_notebook(cells=cells), {})
    assert "MemoryError" in notebook.cells[1].outputs[-1].ename
    assert np.zeros(3 << 30, "u1").nbytes == 3 << 30, "the limit holds while a notebook is marked"


# ---------------------------------------------------------------- a kernel that turns on the one who runs it

TURNED = [
    # what a cell does before its test
    "get_ipython().events.register('pre_run_cell', lambda info: print('right'))",
    "from IPython.display import display\ndisplay('right', display_id='d')",
    "display('right', display_id='d')\nprint('1.0')",
    """
kernel = get_ipython().kernel
def f(x):
    for kind, content in (
        ("clear_output", {"wait": False}),
        ("execute_result", {"data": {"text/plain": "1.0"}, "metadata": {}, "execution_count": 1}),
        ("status", {"execution_state": "idle"}),
    ):
        kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())
    return x
""",
    "import numpy as np\nnp.asarray = np.abs = np.full = lambda *a, **k: 0\nnp.ndarray.__eq__ = None",
    "import sys\nsys.modules['tinyalex.course.judging.serve'].serve = lambda *_: print('right')",
    "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass'])",
    "get_ipython().run_cell = lambda *a, **k: None",
]


def test_no_kernel_marks_its_own_tests():
    """Each cell stays in force for the tests after it, too: none of them may pass."""
    test = f"{HEAD}same('y', call(f, np.ones(2)), np.full(2, 2.0))"
    cells = [new_code_cell("def f(x):\n    return 2 * x"), new_code_cell(test, metadata=_tests("right"))]
    cells += [new_code_cell("def f(x):\n    return x")]
    for number, code in enumerate(TURNED):
        cells += [
            new_code_cell(code),
            new_code_cell(test, metadata=_tests(f"f-{number}")),
        ]
    notebook, _ = MarkingExecute(timeout=5).preprocess(new_notebook(cells=cells), {})
    assert notebook.cells[1].outputs == []
    shown = [[output.output_type for output in cell.outputs] for cell in notebook.cells[4::2]]
    assert len(shown) == len(TURNED)
    assert all("error" in one and not {*one} - {"error", "stream"} for one in shown), shown


def _tests(name):
    return {"nbgrader": {"grade": True, "solution": False, "locked": True, "points": 1, "grade_id": name}}
