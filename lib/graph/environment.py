"""What must be the same on all machines of a run: DVC's cache of runs knows neither versions nor devices."""

import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from lib.graph.shared import Shared

SHOWN = 3  # differences
NEEDED = "torch"
VERSION = re.compile(r"^__version__ = '([^']+)'", re.MULTILINE)


class Environment(NamedTuple):
    """The versions on one machine. packages: those of the lock file of versions that are installed."""

    python: str
    packages: Mapping[str, str]


def here(lock: Path) -> Environment:
    """That of this process. lock: the file with the versions of all libraries, one NAME==VERSION a line."""
    names = [line.partition("==")[0] for line in lock.read_text().splitlines() if "==" in line]
    packages = {name: found for name in names if (found := _version(name))}
    return Environment(f"{platform.python_version()} on {platform.machine()}", packages | _torch())


def difference(driver: Environment, node: Environment) -> str:
    """How a machine differs from the driver's in what both have; "" where it does not."""
    found = [] if driver.python == node.python else [f"Python is {node.python} there and {driver.python} here"]
    for name, wanted in driver.packages.items():
        has = node.packages.get(name, "missing" if name == NEEDED else wanted)  # extras need not be everywhere
        if has != wanted:
            found.append(f"{name} is {has} there and {wanted} here")
    return "; ".join(found[:SHOWN]) + (f"; {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def other_gpu(shared: Shared, device: str) -> str:
    """How this process's GPU differs from that of the run's first cell; "" where it does not. device: compute.device."""
    if device == "cpu":
        return ""
    import torch

    own = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    first = shared.settled("gpu", own)
    return "" if own == first else f"there is {own}, and the first cell of this run had {first}"


def _torch() -> dict[str, str]:
    """Torch's own word for its version, which tells builds apart; read, since an import takes seconds."""
    spec = find_spec(NEEDED)
    if spec is None or spec.origin is None:
        return {}
    found = VERSION.search(Path(spec.origin).with_name("version.py").read_text())
    return {NEEDED: found[1]} if found else {}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
