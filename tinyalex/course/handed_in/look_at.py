"""Lines of a hand-in that a person should look at: they can reach the tests, the machine or other people's work.

Most such lines are harmless. The list says where to look, and costs no points.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tinyalex.course import cells

REASONS = {
    "reads another function's variables": "_getframe f_locals f_back f_globals inspect gc currentframe",
    "changes modules or how they are found": "sys.modules meta_path path_hooks importlib builtins __builtins__ reload",
    "changes a function from outside": "__code__ __globals__ __closure__ __dict__ __class__ setattr",
    "runs text as code": "exec eval compile __import__ run_cell runpy get_ipython pickle marshal",
    "reads or writes files": "open read_text read_bytes write_text write_bytes listdir rglob glob scandir os.walk",
    "reaches below Python": "ctypes cffi memoryview mmap",
    "starts something beside the notebook": "subprocess threading multiprocessing Popen os.system fork asyncio socket",
    "uses the network": "requests urllib urlopen ftplib http.client",
    "changes what the marking watches": "settrace setprofile signal.signal setitimer atexit faulthandler",
}
WORDS = {word: reason for reason, words in REASONS.items() for word in words.split()}
FOUND = re.compile(r"(?<!\w)({})(?!\w)".format("|".join(map(re.escape, WORDS))))
COMMAND = re.compile(r"\s*[!%](?!pip\b|matplotlib\b)")  # a line for the shell or for IPython


@dataclass(frozen=True)
class CodeLine:
    """A line to look at. cell: the cell's id on the page of feedback; number: its line in the cell, from 1."""

    cell: str
    number: int
    text: str
    reason: str


def lines_to_look_at(notebook: cells.Notebook) -> Iterator[CodeLine]:
    """The lines to look at in the code that the student wrote, in order; of a line the first reason."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or not (cells.is_students(cell) or not cells.grade_id(cell)):
            continue
        for number, text in enumerate(cell.source.splitlines(), 1):
            before, _, _ = text.partition("#")
            code = text if "'" in before or '"' in before else before  # the # may be part of a string
            found = FOUND.search(code)
            if found or COMMAND.match(code):
                reason = WORDS[found[1]] if found else "is a command of the shell or of IPython"
                yield CodeLine(cells.name_of(cell), number, text.strip(), reason)
