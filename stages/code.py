"""List, for every stage, the files of the project that it runs with their hashes: what DVC takes for its code.

Writes a folder of manifests. Runs when anything in lib/ or stages/ changed; only manifests that differ make a stage stale.
"""

from pathlib import Path
from typing import Annotated

from stages.command import run


def main(out: Annotated[Path, "the folder to write"]) -> None:
    """All manifests."""
    from lib.graph.manifests import write_manifests

    write_manifests(Path(), out)


if __name__ == "__main__":
    run(main)
