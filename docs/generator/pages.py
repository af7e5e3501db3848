"""The generated pages by their paths."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from docs.generator import ahsg, openings, parameters, readme, recipe, registry, results, scale
from docs.generator.meanings import comments
from lib.distillation import terms
from lib.params.section import parse
from lib.pruning import methods

DEFAULTS = Path("suites/digits.yaml")  # and not params.yaml, which a user edits
METHODS = registry.Registry(methods, "prune.methods", openings.METHODS)
TERMS = registry.Registry(terms, "distill.terms", openings.TERMS)


class Page(NamedTuple):
    """measured: its facts are results, which change with every run."""

    text: str
    measured: bool = False


def pages(root: Path) -> dict[Path, Page]:
    """What each page should hold. Raises ValueError where README.md has no place for its table."""
    defaults = (root / DEFAULTS).read_text()
    document, notes = parse(defaults), comments(defaults)
    studies = {Path(f"docs/{one.MEASURED.stem}.md"): one.page for one in (recipe, ahsg) if (root / one.MEASURED).exists()}
    return {
        **{path: Page(page(root)) for path, page in studies.items()},
        Path("docs/methods.md"): Page(registry.page(METHODS, document, notes)),
        Path("docs/terms.md"): Page(registry.page(TERMS, document, notes)),
        Path("docs/parameters.md"): Page(parameters.page(document, notes)),
        Path("docs/scale-plan.md"): Page(scale.page(root)),
        Path("docs/results.md"): Page(results.page(root), measured=True),
        Path("README.md"): Page(readme.filled((root / "README.md").read_text(), readme.main(root)), measured=True),
    }


def stale(root: Path, made: Mapping[Path, Page], *, measured: bool) -> list[str]:
    """The pages that are not what they should be. measured: look at those made of results too."""
    looked_at = {path: page.text for path, page in made.items() if measured or not page.measured}
    return [path.as_posix() for path, text in looked_at.items() if _read(root / path) != text]


def changed(root: Path, folder: str) -> bool:
    """Whether a folder differs from the commit; without a repository there is nothing to differ from."""
    words = ["git", "-C", str(root), "status", "--porcelain", "--", folder]
    return bool(subprocess.run(words, capture_output=True, text=True, check=False).stdout)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
