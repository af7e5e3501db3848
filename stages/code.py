"""List, for every stage, the files of the project that it runs with their hashes: what DVC takes for its code.

Writes a folder of manifests. Runs when anything in lib/ or stages/ changed; only manifests that differ make a stage stale.
"""

from pathlib import Path

from lib.graph.manifests import write_manifests
from stages.command import arguments, run


def main() -> None:
    """All manifests."""
    given = arguments(__doc__, out=Path)
    write_manifests(Path(), given.out)


if __name__ == "__main__":
    run(main)
