"""List, for every stage, what it uses: the files of the project that it runs, with hashes of their code, and settings.

Writes a folder of manifests. Runs when anything in lib/ or stages/, the user's own code (`own_code`), the parameters or the
versions of libraries changed; only manifests that differ make a stage stale.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(
    versions: Annotated[Path, "the file with the versions of all libraries"],
    out: Annotated[Path, "the folder to write"],
    params: Params = PARAMS,
) -> None:
    """All manifests."""
    from lib.graph.manifests import write_manifests

    write_manifests(read_params(params), Path(), versions, out)


if __name__ == "__main__":
    run(main)
