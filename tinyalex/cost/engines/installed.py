"""Which packages the Python that runs this file has: `python installed.py torch jax` prints {"torch": "2.13.0"}."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version


def versions(packages: list[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    print(json.dumps(versions(sys.argv[1:])))
