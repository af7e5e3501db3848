"""Make another suite the one that runs: write params.yaml from suites/<name>.yaml, and bring that suite's dvc.lock.

suites/digits.yaml is the default, whole, and params.yaml a copy of it; every other suite's file holds only what differs from
it. The lock that was here is kept as suites/<name>.lock. Without a name: the suites there are.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from stages.command import run

if TYPE_CHECKING:
    from lib.graph.suites import Suites


def main(
    name: Annotated[str | None, "of the suite; lists the suites if left out"] = None,
    discard: Annotated[bool, "lose what was edited in params.yaml"] = False,
) -> None:
    """One switch."""
    from lib.graph.pipeline import locked

    here = suites()

    if name is None:
        edited = " (edited)" if here.edited() else ""
        sys.stdout.write(f"{', '.join(here.names())}; active: {here.active()}{edited}\n")
        return
    with locked(Path()):
        here.switch(name, discard)


def suites() -> "Suites":
    """Those of the project that is the current folder."""
    from lib.graph.suites import Suites

    return Suites(folder=Path("suites"), base="digits", params=Path("params.yaml"), lock=Path("dvc.lock"))


if __name__ == "__main__":
    run(main)
