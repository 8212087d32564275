"""CSV tables of other programs: read whatever they write, and written back as they were."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyalex.errors import UsageError
from tinyalex.files import replacing
from tinyalex.typed import brief

MOST_CELLS = 2_000_000  # of a table: 4,000 students in 500 columns
NAMED = 12  # columns that a message names


@dataclass
class Table:
    """A table with a header.

    header: the names of the columns, without white space around them.   rows: values by column.
    first: the first line, as it was.   What lies in a column without a name is kept, under its number.
    The rest is how the file is written.
    """

    header: list[str]
    rows: list[dict[str, str]]
    first: list[str]
    delimiter: str = ","
    line_end: str = "\r\n"
    mark: bool = False  # whether it begins with a byte order mark, as Excel wants

    @classmethod
    def read(cls, path: Path) -> "Table":
        """The table in a CSV file, with commas, semicolons or tabs, in UTF-8, UTF-16 or Windows's code page.

        Raises UsageError if it cannot be read, has two columns of one name, or too many cells.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"got {path} ({error.strerror}): expected a table, as a CSV file") from None
        text = _decoded(content)
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        try:
            header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        except (csv.Error, ValueError) as error:
            raise UsageError(f"got {path} ({error}): expected a table, as a CSV file") from None
        first, header = header, [name.strip() for name in header]
        if twice := [name for name, times in Counter(header).items() if name and times > 1]:
            raise UsageError(f"got {path} with two columns {brief(min(twice))}: expected each once")
        if len(header) * len(lines) > MOST_CELLS:
            raise UsageError(f"got {path} with {len(lines)} lines of {len(header)} columns: expected those of a class")
        keys = _keys(header, max(map(len, lines), default=0))
        rows = [
            dict(zip(keys, [*line, *[""] * (len(header) - len(line))], strict=False)) for line in lines if any(line)
        ]
        end = "\r\n" if "\r\n" in text else "\n"
        return cls(header, rows, first, delimiter, end, content.startswith(codecs.BOM_UTF8))

    def write(self, path: Path) -> None:
        """Write the table in the way in which it was read, but always in UTF-8."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator=self.line_end)
        writer.writerow(self.first)
        writer.writerows(row.values() for row in self.rows)
        with replacing(path) as file:
            file.write((codecs.BOM_UTF8 if self.mark else b"") + text.getvalue().encode())


def _keys(header: Sequence[str], width: int) -> list[str]:
    """A key for each of the `width` columns, or more as the header has: its name, or if it has none its number.

    No name begins with a space, so a number with one is no name.
    """
    return [name or f" {number}" for number, name in enumerate([*header, *[""] * (width - len(header))])]


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def shown(value: float) -> str:
    """A number of points as tables show it: at most two decimals."""
    return f"{round(value, 2):g}"


def columns(names: Sequence[str]) -> str:
    """Names of columns in a message, the first ones only if there are many."""
    return ", ".join([*map(brief, names[:NAMED]), *["..."] * (len(names) > NAMED)])
