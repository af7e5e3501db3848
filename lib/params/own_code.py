"""The user's own code, which the builders of networks lie in."""

from pathlib import Path


def place(module: str, root: Path = Path()) -> Path | None:
    """Where a module of the user's lies under root: its file, or the folder of its package; None for what is installed.

    In the order of Python: a package, a file, a folder without __init__.py.
    """
    first = module.split(".", maxsplit=1)[0]
    folder, file = Path(first), Path(f"{first}.py")
    there = ((folder, folder / "__init__.py"), (file, file), (folder, folder))
    return next((path for path, sign in there if (root / sign).exists()), None)
