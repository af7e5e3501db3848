"""Which code a stage really runs, so that an edit re-runs what it concerns and nothing else.

A manifest lists every project file that a stage script loads with its hash. DVC depends on manifests instead of files: a
handful of lines for each stage, where dvc.lock, which DVC reads and writes anew for every stage, would have hundreds.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lib.atomic import write_text

METHODS, TERMS = "lib/pruning/methods", "lib/distillation/terms"
# Found by name while running, so no import statement shows them: who looks, and in which folders.
LOOKED_UP = {
    "lib/steps/prune.py": (METHODS,),
    "lib/distillation/building.py": (TERMS,),
    "lib/steps/document.py": (METHODS, TERMS),
    "lib/steps/rehearse.py": (METHODS,),
}


def write_manifests(root: Path, out: Path) -> None:
    """Write <script>.txt for every stage script of a project, and prune/<method>.txt for every method, into folder `out`."""
    methods = _plugins(root, METHODS)
    wanted = {f"{script.stem}.txt": closure(root, script.stem) for script in sorted((root / "stages").glob("[a-z]*.py"))}
    wanted |= {f"prune/{Path(name).stem}.txt": closure(root, "prune", Path(name).stem) for name in methods}
    for path in out.rglob("*.txt"):
        if path.relative_to(out).as_posix() not in wanted:
            path.unlink()
    for name, files in wanted.items():
        lines = [f"{hashlib.sha256((root / file).read_bytes()).hexdigest()}  {file}\n" for file in sorted(files)]
        write_text(out / name, "".join(lines))


def closure(root: Path, script: str, method: str | None = None) -> set[str]:
    """The project files that a stage script loads, itself included; of the pruning methods all, or the one named."""
    seen: set[str] = set()
    waiting = ["stages/__init__.py", f"stages/{script}.py"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += _imports(root, name)
        for folder in LOOKED_UP.get(name, ()):
            chosen = folder == METHODS and method is not None
            waiting += [f"{folder}/{method}.py"] if chosen else _plugins(root, folder)
    return seen


def _plugins(root: Path, folder: str) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in (root / folder).glob("[a-z]*.py"))


@cache
def _imports(root: Path, name: str) -> tuple[str, ...]:
    return tuple(file for module in _modules(root / name) for file in _files(root, module))


def _modules(path: Path) -> Iterator[str]:
    """The modules that a file imports, by its import statements."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(root: Path, module: str) -> Iterator[str]:
    """The files that importing a module of the project loads: its own, and __init__.py of the packages above it."""
    parts = module.split(".")
    if parts[0] not in ("lib", "stages"):
        return
    for end in range(1, len(parts) + 1):
        stem = "/".join(parts[:end])
        yield from (name for name in (f"{stem}.py", f"{stem}/__init__.py") if (root / name).is_file())
