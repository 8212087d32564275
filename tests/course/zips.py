"""Zips and tables as Moodle and Canvas give them out, and zips as students send them, also some that do harm."""

import io
import stat
import zipfile

import nbformat

MAC = b"\x00\x05\x16\x07" + bytes(60)  # how a file begins that macOS writes beside another


def text(notebook):
    return nbformat.writes(notebook).encode()


def zipped(files):
    """A zip: names -> content, which is bytes; a dict is a zip in the zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(files.items()):
            entry = zipfile.ZipInfo(name, (2027, 3, 1, 12, number // 30 % 60, number % 30 * 2))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, zipped(content) if isinstance(content, dict) else content)
    return packed.getvalue()


def moodle(students):
    """Moodle's zip: (full name, participant number) -> files by their own name."""
    return {
        f"{name}_{number}_assignsubmission_file_/{file}": content
        for (name, number), files in students.items()
        for file, content in files.items()
    }


def canvas(students, late=()):
    """Canvas's zip: (sortable name, user id) -> files by their own name. A later file has a larger number."""
    files = {}
    upload = 7000
    for (name, number), own in students.items():
        short = "".join(letter for letter in name.lower() if letter.isalnum())
        for file, content in own.items():
            upload += 3
            files[f"{short}{'_LATE' if name in late else ''}_{number}_{upload}_{file}"] = content
    return files


MOODLE = (
    'Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    '"Last modified (submission)","Last modified (grade)","Feedback comments"\r\n'
)


def worksheet(path, students):
    """Moodle's worksheet: every tenth hand-in came two days late."""
    lines = [
        f'"Participant {number}","{name}",a{number - 4000:03}@uni.edu,"Submitted for grading",,100.00,Yes,'
        f'"{"Wednesday, 3" if number % 10 == 7 else "Monday, 1"} March 2027, 10:00 PM",-,\r\n'
        for name, number in students
    ]
    path.write_text(MOODLE + "".join(lines), "utf-8-sig", newline="")
    return path


def gradebook(path, students):
    """Canvas's gradebook, with a column that is not to be touched and Canvas's test student."""
    header = "Student,ID,SIS User ID,SIS Login ID,Section,Assignment 1: layers (77),Assignment 11 (78),Final Score\n"
    maxima = "    Points Possible,,,,,10.00,10.00,(read only)\n"
    lines = [f'"Lee, {name[:-4]}",{number},s{number},a{number - 4000:03},S1,,5.0,50\n' for name, number in students]
    path.write_text(header + maxima + "".join(lines) + '"Student, Test",99,,ff00ff,S1,,,\n', newline="")
    return path


def link(name, target):
    """A zip with a link in it, as `zip --symlinks` writes it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
    return packed.getvalue()
