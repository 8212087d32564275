"""`python -m tinyalex ...` is `tinyalex ...`."""

import sys


def main() -> int:
    """The exit code of the command in sys.argv; see `tinyalex.cli.main`."""
    try:
        from tinyalex import cli

        return cli.main()
    except KeyboardInterrupt:  # while modules are imported, or while "stopped" is printed
        return 130


if __name__ == "__main__":
    sys.exit(main())
