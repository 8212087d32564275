"""`python -m tinyalex ...` is `tinyalex ...`."""

import sys

from tinyalex.cli import main

sys.exit(main())
