"""Make another suite the one that runs: write params.yaml from suites/<name>.yaml, and bring that suite's dvc.lock.

suites/digits.yaml is the default, whole, and params.yaml a copy of it; every other suite's file holds only what differs from
it. The lock that was here is kept as suites/<name>.lock. Without a name: the suites there are.
"""

import argparse
import sys
from pathlib import Path

from lib.graph.pipeline import locked
from lib.graph.suites import Suites
from stages.command import run

SUITES = Suites(folder=Path("suites"), base="digits", params=Path("params.yaml"), lock=Path("dvc.lock"))


def main() -> None:
    """One switch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the suite")
    parser.add_argument("--discard", action="store_true", help="lose what was edited in params.yaml")
    given = parser.parse_args()
    if given.name is None:
        sys.stdout.write(f"{', '.join(SUITES.names())}; active: {SUITES.active()}{' (edited)' if SUITES.edited() else ''}\n")
        return
    with locked(Path()):
        SUITES.switch(given.name, given.discard)


if __name__ == "__main__":
    run(main)
