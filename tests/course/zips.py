"""Zips as Moodle and Canvas give them out, and as students send them; and zips that should do no harm."""

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


def link(name, target):
    """A zip with a link in it, as `zip --symlinks` writes it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
    return packed.getvalue()
