"""`python -m tinyalex ...` is `tinyalex ...`."""

import gc
import signal
import sys


def main() -> int:
    """The exit code of the command in sys.argv; see `tinyalex.cli.main`."""
    try:
        from tinyalex import cli

        code = cli.main()
    except KeyboardInterrupt:  # while modules are imported, or while "stopped" is printed
        code = 130
    gc.freeze()  # else Python looks through all that it has loaded once more when it ends: a fifth of a second
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would show a traceback for one that comes while it ends
    return code


if __name__ == "__main__":
    sys.exit(main())
