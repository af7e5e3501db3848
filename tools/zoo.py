"""Keep the packed networks of the active suite in the repository: models/zoo/<suite>/, each with a card.

Of each row of the table the seed that is best on validation, of those that `dvc repro` has made so far. The commit on the
cards is the one that is checked out.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(
    out: Annotated[Path, "the folder of all suites' networks"] = Path("models/zoo"),
    dense: Annotated[bool, "keep the trained dense networks too, so that others can add to the table"] = False,
    params: Params = PARAMS,
) -> None:
    """One suite."""
    from lib.graph.provenance import commit
    from lib.params.suite import read
    from lib.steps import zoo
    from lib.tables import kept_filters, latencies, results, timings

    suite = read(read_params(params))
    metrics, models = Path("metrics") / suite.name, Path("models") / suite.name
    if dense:
        sys.stderr.write("".join(f"{path}\n" for path in zoo.keep_dense(suite, models, out / suite.name)))
    cells = results.read(metrics / "cells", suite).rows
    kept = kept_filters.read(models / "compact", suite, metrics / kept_filters.FILE, frozenset(suite.cells)).rows
    found, _ = timings.shared(timings.read(metrics / "latency", suite), kept, suite)
    timed = timings.beside_macs(found.rows, cells)
    lines = latencies.lines(timed, timings.read_machine(metrics / "latency" / "machine.json"))
    if not (made_by := commit(Path())):
        msg = "the cards name the commit, and git tells of none here; run this in a clone"
        raise ValueError(msg)
    origin = zoo.Origin(made_by, f"make suite NAME={suite.name} && make repro")
    made = zoo.gather(suite, models, metrics / "cells", lines, origin, out / suite.name)
    there = {(card.method, card.keep_ratio, card.distiller) for card in made}
    if lacking := dict.fromkeys(" ".join(map(str, cell[:3])) for cell in suite.cells if cell[:3] not in there):
        sys.stderr.write(f"rows without a cell yet: {', '.join(lacking)}\n")
    sys.stderr.write(f"{len(made)} networks, {sum(card.file_bytes for card in made):,} bytes, in {out / suite.name}\n")


if __name__ == "__main__":
    run(main)
