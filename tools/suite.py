"""Make another suite the one that runs: write params.yaml from suites/<name>.yaml, and bring that suite's dvc.lock.

suites/digits.yaml is the default, whole, and params.yaml a copy of it; every other suite's file holds only what differs from
it. The lock that was here is kept as suites/<name>.lock. Without a name: the suites there are.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import run


def main(
    name: Annotated[str | None, "of the suite; lists the suites if left out"] = None,
    discard: Annotated[bool, "lose what was edited in params.yaml"] = False,
) -> None:
    """One switch."""
    from lib.graph import suites
    from lib.graph.pipeline import locked

    here = suites.of(Path())
    if name is None:
        edited = " (edited)" if here.edited() else ""
        sys.stdout.write(f"{', '.join(here.names())}; active: {here.active()}{edited}\n")
        return
    with locked(Path()):
        here.switch(name, discard)


if __name__ == "__main__":
    run(main)
