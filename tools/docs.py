"""Write the generated pages: docs/methods.md, terms.md, parameters.md, scale-plan.md, results.md, those of the studies that
were measured (recipe.md, ahsg.md), and README.md's table.

--check writes nothing; it fails where a page is stale, and names it. Pages that are made of metrics/ are not checked while
metrics/ differs from the commit: results of your own are not published yet.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import run


def main(check: Annotated[bool, "fail where a page is stale, and write nothing"] = False) -> None:
    """All pages."""
    from docs.generator.pages import changed, pages, stale
    from lib.atomic import write_text

    root = Path()
    made = pages(root)
    if not check:
        for path, page in made.items():
            write_text(root / path, page.text)
        return
    unpublished = changed(root, "metrics")
    if unpublished:
        skipped = ", ".join(path.as_posix() for path, page in made.items() if page.measured)
        sys.stderr.write(f"metrics/ differs from the commit, so these pages are not checked: {skipped}\n")
    if found := stale(root, made, measured=not unpublished):
        msg = f"stale: {', '.join(found)}; write them anew with: python -m tools.docs"
        raise ValueError(msg)


if __name__ == "__main__":
    run(main)
