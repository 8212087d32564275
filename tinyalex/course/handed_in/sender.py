"""Who sent a file: the names that Moodle and Canvas give to files when a lecturer downloads all of them."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from tinyalex.files import legible

# Moodle: a folder for each student, or with another setting only files, with this before their own name. The number
# is that of the student in this assignment, the one in the column "Identifier" of its grading worksheet.
MOODLE = re.compile(r"(?P<name>.*?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<file>.*))?")

# Canvas: files only. The first number is the student's ID in Canvas's gradebook, the second that of the file.
CANVAS = re.compile(
    r"(?:(?P<name>(?!LATE_)[^\W_]+)_)?(?P<late>LATE_)?(?P<id>\d{1,19}|anon_\w{5})_(?P<upload>\d{3,19})_(?P<file>.+)"
)

MACOS = "__MACOSX"  # the folder of macOS in a zip; beside the students' folders it is nobody's


@dataclass(frozen=True)
class Sender:
    """Who handed in a file.

    name: as it stands in the file's place.   system: where `id` comes from; "" for a folder or file named by hand.
    """

    name: str
    system: Literal["", "Moodle", "Canvas"] = ""
    id: str = ""

    @property
    def folder(self) -> str:
        """The student's folder in a zip of feedback for Moodle, which goes by the number; "" for other systems."""
        name = legible(self.name.replace("_", " "))
        return f"{name}_{self.id}_assignsubmission_file_" if self.system == "Moodle" else ""


@dataclass(frozen=True)
class Sent:
    """A file's sender, and its place as the student named it.

    late: whether Canvas says so.   upload: the number of the file in Canvas; a later file has a larger one.
    """

    sender: Sender
    file: PurePosixPath
    late: bool = False
    upload: int = 0


def sent(where: PurePosixPath, assignments: tuple[str, ...]) -> Sent:
    """Who sent the file at this place: what Moodle or Canvas wrote, else the first folder, else the file's own name.

    assignments: names that are no part of a student's, such as in "anna_assignment1.ipynb".
    """
    if where.parts[:1] == (MACOS,):
        return Sent(Sender(MACOS), where)
    for depth, part in enumerate(where.parts):
        rest = where.parts[depth + 1 :]
        if found := MOODLE.fullmatch(part):
            file = PurePosixPath(*([found["file"]] if found["file"] else []), *rest)
            return Sent(Sender(found["name"] or f"participant-{found['id']}", "Moodle", found["id"]), file)
        is_file = not rest or part.lower().endswith(".zip")
        if is_file and (found := CANVAS.fullmatch(part)):
            sender = Sender(found["name"] or found["id"], "Canvas", found["id"])
            return Sent(sender, PurePosixPath(found["file"], *rest), bool(found["late"]), int(found["upload"]))
    inside = where.parts[1:]
    name = where.parts[0] if inside else re.sub(r" ?\(\d+\)$", "", where.stem)  # browsers add "(1)"
    for assignment in assignments:
        name = name.replace(assignment, "").strip("_- ") or name
    return Sent(Sender(re.sub(r"\.zip$", "", name, flags=re.IGNORECASE)), PurePosixPath(*(inside or where.parts)))
