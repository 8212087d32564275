"""What the tests of the coursework share."""


def pytest_addoption(parser):
    group = parser.getgroup("course")
    group.addoption("--whole-course", action="store_true", help="mark 30 generated hand-ins in one go, not 7")
    group.addoption("--write-matrix", action="store_true", help="write the table of mistakes in docs/teaching.md")
