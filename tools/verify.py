"""Score the networks of models/zoo again, and compare with their cards and the committed tables; exit 1 on a difference.

Needs nothing but the data set of each suite: from --data, or obtained as the suite says (kept in .scratch). Trains nothing.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import run

ZOO, KEPT, DOWNLOADS = Path("models/zoo"), Path(".scratch/verify"), Path(".scratch/downloads")


def main(
    suite: Annotated[str | None, "the one to check; all if left out"] = None,
    data: Annotated[Path | None, "the folder of its data set, as stage download writes it"] = None,
) -> None:
    """All networks of one suite, or of all."""
    from lib.graph import suites
    from lib.images.dataset import load
    from lib.images.settings import DataSettings
    from lib.networks.builders import allow
    from lib.params.named import own_builders
    from lib.params.section import parse, read
    from lib.progress import images, networks
    from lib.steps import zoo
    from lib.training.device import Compute

    wrong, names = 0, [suite] if suite else sorted(path.parent.name for path in ZOO.glob("*/README.md"))
    if data and suite is None:
        msg = "--data is the folder of one data set; say with --suite which suite is to be checked on it"
        raise ValueError(msg)
    if not names:
        msg = f"{ZOO} holds no networks; keep those of a suite that was run with: python -m tools.zoo"
        raise ValueError(msg)
    for name in names:
        document, known = parse(suites.of(Path()).text(name)), zoo.cards(ZOO / name)
        allow(own_builders(document))
        settings, compute = read(document, "data", DataSettings), read(document, "compute", Compute)
        dataset = load(data) if data else zoo.obtained(settings, KEPT / zoo.folder_name(document["data"]), DOWNLOADS, images)
        cells, shown = Path("metrics") / name / "cells", networks(known, name)
        for found in zoo.verify(ZOO / name, cells, dataset, compute, shown, known):
            wrong += bool(found.problem)
            sys.stdout.write(f"{name}/{found.name}: {found.problem or f'{found.top1:.2f} %, as card and table say'}\n")
    if wrong:
        sys.exit(f"error: {wrong} networks are not what is said of them")


if __name__ == "__main__":
    run(main)
