"""Write the reports of all committed suites, and a page that lists them: a folder of HTML that opens without a network.

Reads metrics/<suite>; needs neither data nor networks. `dvc repro` writes the report of the active suite by itself.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import read_params, run

METRICS, PUBLISHED = Path("metrics"), Path("suites/published.yaml")


def main(out: Annotated[Path, "the folder to write"] = Path(".scratch/report")) -> None:
    """All suites that have a table."""
    from lib.atomic import write_text
    from lib.graph import suites
    from lib.params.section import parse
    from lib.report import index
    from lib.steps.listing import listed

    here, entries = suites.of(Path()), []
    if (METRICS / "index" / "summary.csv").is_file():
        msg = "the report of a suite called index would take the place of the list; rename suites/index.yaml and metrics/index"
        raise ValueError(msg)
    for name in sorted(path.parent.name for path in METRICS.glob("*/summary.csv")):
        if name not in here.names():
            sys.stderr.write(f"note: {METRICS / name} is left out, because there is no suites/{name}.yaml\n")
            continue
        entry = listed(parse(here.text(name)), METRICS / name, read_params(PUBLISHED))
        write_text(out / f"{name}.html", entry.page)
        entries.append(entry.line)
    write_text(out / "index.html", index.page(entries))
    sys.stderr.write(f"{len(entries)} reports; open {out / 'index.html'}\n")


if __name__ == "__main__":
    run(main)
