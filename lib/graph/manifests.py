"""What a stage really uses, so that an edit re-runs what it concerns and nothing else.

A manifest lists the project files that a stage loads, with hashes of what is essential in them (`lib.graph.sources`), and the
settings of the distillation terms and of the network that it uses, which DVC's parameters cannot name. DVC depends on
manifests instead of files: one line a stage, where dvc.lock, which DVC reads and writes anew for every stage, would have
hundreds.

What a stage finds by name while it runs shows in no import statement; `Use` names it: the method or the network of a cell,
the terms of its distiller or guide, the families of its networks.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from typing import Any

import grimp
from grimp.exceptions import SourceSyntaxError

from lib.atomic import write_text
from lib.graph.sources import essential
from lib.graph.uses import Use, uses
from lib.params.own_code import place
from lib.params.section import read

OURS = ("lib", "stages", "tools", "bench", "docs", "tests")  # no folders of the user's


def write_manifests(document: Mapping[str, Any], root: Path, versions: Path, out: Path) -> None:
    """Write a manifest <name>.txt for every name of `uses` into folder `out`; others that it held go.

    root: the folder where Python finds the packages lib and stages. versions: the file with the versions of all libraries,
    listed for every stage but the check, whose result they do not decide. Raises ValueError for a file that is not Python,
    and for parameters that name what is not there.
    """
    graph = _imports()
    texts, hashed = {}, cache(_hash)
    for name, use in uses(document, graph.modules).items():
        own = {module for module in use.plugins if module not in graph.modules}
        files = {_file(root, module) for module in closure(graph, [f"stages.{use.script}", *(use.plugins - own)])}
        mine = {file for module in own for file in _own_files(root, module)}
        used = {module for file in mine for module in _imported(root, file, mine)} & graph.modules
        files |= mine | {_file(root, module) for module in closure(graph, used)}
        listed = files if use.script == "check" else files | {versions}
        hashes = [f"{hashed(root / file)}  {file.as_posix()}\n" for file in sorted(listed)]
        texts[f"{name}.txt"] = "".join([*hashes, *_settings(document, use)])
    for path in out.rglob("*.txt"):
        if path.relative_to(out).as_posix() not in texts:
            path.unlink()
    for name, text in texts.items():
        write_text(out / name, text)


def closure(graph: grimp.ImportGraph, modules: Iterable[str]) -> set[str]:
    """Modules, all that they import, directly or not, and the packages that these lie in."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            package = module.rpartition(".")[0]
            waiting += [*graph.find_modules_directly_imported_by(module), *([package] if package else [])]
    return found


def _hash(file: Path) -> str:
    content = essential(file).encode() if file.suffix == ".py" else file.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _imports() -> grimp.ImportGraph:
    try:
        return grimp.build_graph("lib", "stages", exclude_type_checking_imports=True, cache_dir=None)
    except SourceSyntaxError as error:
        msg = f"{error.filename}, line {error.lineno}, is not Python; correct it"
        raise ValueError(msg) from error


def _file(root: Path, module: str) -> Path:
    path = Path(*module.split("."))
    return path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py")


def _own_files(root: Path, module: str) -> list[Path]:
    """The user's own code that a builder lies in: its file, or all files of its package; none for what is installed."""
    found = place(module, root)
    if found is None:
        return []
    return [path.relative_to(root) for path in sorted((root / found).rglob("*.py"))] if (root / found).is_dir() else [found]


def _imported(root: Path, file: Path, mine: Set[Path]) -> Iterator[str]:
    """What the user's own file may import of lib and stages, as dotted names, some of them of no module.

    Raises ValueError for another file of the user's that lies elsewhere: nobody would notice that it was edited.
    """
    for node in ast.walk(ast.parse((root / file).read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        else:
            continue
        for name in names:
            files = [] if name.partition(".")[0] in OURS else _own_files(root, name)
            if files and mine.isdisjoint(files):
                msg = (
                    f"{file} imports {files[0]}, which own_code does not hold; put all your code into one folder and name that"
                )
                raise ValueError(msg)
            yield name


def _settings(document: Mapping[str, Any], use: Use) -> list[str]:
    places = [f"distill.terms.{name}" for name in sorted(use.terms)] + [f"networks.{name}" for name in sorted(use.networks)]
    return [f"{place} {json.dumps(read(document, place, dict[str, Any]), sort_keys=True)}\n" for place in places]
