"""The class in whatever table the lecturer has, and the student behind each name that Moodle and Canvas write."""

import pytest

from tinyalex.course.grades.roster import read_roster
from tinyalex.course.grades.table import Table
from tinyalex.course.handed_in.sender import Sender
from tinyalex.errors import UsageError

OWN = "id,name,email\nae1,Anna Åström,anna@uni.edu\nbl2,Bo Lee,bo@uni.edu\nbl3,Bo Lee,lee@uni.edu\n"
MOODLE = (
    '"First name","Last name","Email address","ID number"\nAnna,Åström,anna@uni.edu,ae1\nBo,Lee,bo@uni.edu,bl2\n'
    "Bo,Lee,lee@uni.edu,bl3\n"
)
WORKSHEET = (
    'Identifier,"Full name","Email address",Grade\n"Participant 41","Anna Åström",ae1,\n'
    '"Participant 42","Bo Lee",bl2,\n"Participant 43","Bo Lee",bl3,\n'
)
CANVAS = (
    'Student,ID,SIS User ID,SIS Login ID,Section,Assignment 1 (9)\n"    Points Possible",,,,,10\n'
    '"Åström, Anna",41,x1,ae1,S,\n"Lee, Bo",42,x2,bl2,S,\n"Lee, Bo",43,x3,bl3,S,\n'
)


@pytest.fixture
def roster(tmp_path):
    def of(text):
        path = tmp_path / "roster.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_roster(path)

    return of


@pytest.mark.parametrize("text", [OWN, MOODLE, WORKSHEET, CANVAS])
def test_any_table_of_students_is_a_roster(text, roster):
    assert [student.id for student in roster(text).students] == ["ae1", "bl2", "bl3"]


@pytest.mark.parametrize(
    "name", ["Anna Åström", "Åström Anna", "Åström, Anna", "åströmanna", "anna astrom", "ae1", "AE1"]
)
@pytest.mark.parametrize("text", [OWN, MOODLE, WORKSHEET, CANVAS])
def test_a_student_is_found_by_any_form_of_the_name(name, text, roster):
    assert roster(text).find(Sender(name)).id == "ae1"


def test_a_name_that_two_have_is_nobodys_but_a_number_tells(roster):
    assert roster(OWN).find(Sender("Bo Lee", "Moodle", "43")) is None
    assert roster(WORKSHEET).find(Sender("Bo Lee", "Moodle", "43")).id == "bl3"
    assert roster(CANVAS).find(Sender("leebo", "Canvas", "42")).id == "bl2"
    assert roster(CANVAS).find(Sender("anon", "Moodle", "42")) is None, "Moodle's number is not Canvas's"


def test_a_line_of_another_table_is_the_students(roster):
    own = roster(OWN)
    assert own.in_row({"Email address": "LEE@uni.edu", "Full name": "Bo Lee"}).id == "bl3"
    assert own.in_row({"Student": "Åström, Anna", "ID": "41", "SIS Login ID": "other"}).id == "ae1"
    assert own.in_row({"Student": "Student, Test", "ID": "99"}) is None


def test_an_id_leads_out_of_no_folder(roster):
    assert [student.id for student in roster("id,name\n..,Anna\n../a,Bo\n").students] == ["_.", "_._a"]


@pytest.mark.parametrize(
    "content", [OWN.replace(",", ";").encode("cp1252"), OWN.encode("utf-16"), b"\xef\xbb\xbf" + OWN.encode()]
)
def test_a_table_is_read_in_any_encoding(content, roster):
    assert roster(content).find(Sender("Anna Åström")).id == "ae1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,name\n", "expected columns id and name, and a line a student"),
        ("who\nanna\n", "expected columns id and name, and a line a student"),
        ("id,name\na,Anna\na,Bo\n", "got .* with a in two lines: expected each student once"),
        ("id,name\nkim,Anna\nKim,Bo\n", "got .* with kim in two lines: expected each student once"),
        ("id,id\na,b\n", "two columns 'id': expected each once"),
        (f"id,{','.join(map(str, range(2000)))}\n" + "a\n" * 1000, "1000 lines of 2001 columns: expected those of a"),
        (f"{'x' * 5000},{','.join(map(str, range(30)))}\n1\n", "'x{39}..., '0', .* '10', ...: expected columns id"),
        ("", "expected a table, as a CSV file"),
        ('id,name\n"a,Anna\n', "expected a table, as a CSV file"),
    ],
)
def test_what_is_no_roster_gets_one_line(text, message, roster):
    with pytest.raises(UsageError, match=message) as caught:
        roster(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b'a,b\r\n1,"x, ""y"""\r\n',
        b"a;b\n1;\xc3\xa5\n",
        b"\xef\xbb\xbfa,b\n,\xe2\x82\xac\n",
        b'a,b\n1,"two\nlines"\n',
        b" a,,b ,\n1,x,2,y\n",
        b"a,b\n1,2,3\n4,5\n",
    ],
)
def test_a_table_is_written_as_it_was_read(content, tmp_path):
    (tmp_path / "in.csv").write_bytes(content)
    Table.read(tmp_path / "in.csv").write(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == content
