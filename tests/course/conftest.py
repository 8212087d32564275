"""What the tests of the coursework share."""


def pytest_addoption(parser):
    group = parser.getgroup("course")
    group.addoption("--whole-course", action="store_true", help="mark more hand-ins, right and wrong")
    group.addoption("--write-matrix", action="store_true", help="write the table of mistakes in docs/teaching.md")
