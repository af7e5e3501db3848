"""The user's own code, which the builders of networks lie in."""

from pathlib import Path


def place(module: str, root: Path = Path()) -> Path | None:
    """Where a module of the user's lies under root: its file, or the folder of its package; None for what is installed."""
    first = module.split(".", maxsplit=1)[0]
    return next((path for path in (Path(first), Path(f"{first}.py")) if (root / path).exists()), None)
