"""List, for every stage, what it uses: the files of the project that it runs, with their hashes, and settings of terms.

Writes a folder of manifests. Runs when anything in lib/ or stages/, the parameters or the versions of libraries changed; only
manifests that differ make a stage stale.
"""

from pathlib import Path

from lib.graph.manifests import write_manifests
from lib.params.section import parse
from stages.command import arguments, run


def main() -> None:
    """All manifests."""
    given = arguments(__doc__, versions=Path, out=Path)
    write_manifests(parse(given.params.read_text()), Path(), given.versions, given.out)


if __name__ == "__main__":
    run(main)
