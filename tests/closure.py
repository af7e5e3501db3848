"""Which files a stage really imports: the truth that the deps of dvc.yaml are held against.

`python -m tests.closure` prints the lists, to paste into dvc.yaml after an import has come or gone.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Found by name while running, so no import statement shows them: who looks, in which folder, and what dvc.yaml lists for it.
PLUGINS = {
    "lib/pruning/pruning.py": ("lib/pruning/methods", "lib/pruning/methods/${item.method}.py"),
    "lib/distillation/combination.py": ("lib/distillation/terms", "lib/distillation/terms"),
    "lib/sections.py": ("lib/pruning/methods", "lib/pruning/methods"),
}


def closure(script: str) -> set[str]:
    """The project files that running `script` loads, itself included, packages' __init__.py where they hold code.

    What any plug-in of a folder imports counts too: a matrix cannot list another file for each of its cells.
    """
    seen: set[str] = set()
    listed: set[str] = set()
    waiting = [script]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += _imports(name)
        if name in PLUGINS:
            folder, entry = PLUGINS[name]
            listed.add(entry)
            for plugin in sorted((ROOT / folder).glob("*.py")):
                waiting += _imports(plugin.relative_to(ROOT).as_posix())
    return {name for name in seen if not _only_docstring(name)} | listed


def _imports(name: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for module in modules:
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                found += _files("/".join(parts[:end]))
    return found


def _files(stem: str) -> list[str]:
    if stem.split("/", maxsplit=1)[0] not in ("lib", "stages"):
        return []
    return [name for name in (f"{stem}.py", f"{stem}/__init__.py") if (ROOT / name).is_file()]


def _only_docstring(name: str) -> bool:
    body = ast.parse((ROOT / name).read_text()).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


if __name__ == "__main__":
    for script in sorted((ROOT / "stages").glob("[a-z]*.py")):
        print(script.stem)
        for name in sorted(closure(f"stages/{script.name}")):
            print(f"      - {name}")
