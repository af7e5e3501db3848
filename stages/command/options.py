"""The signature of a command's `main` is its command line.

    def main(source: Annotated[Path, "the checkpoint"], images: Annotated[int | None, "all if left out"] = None) -> None:

takes `--source PATH [--images N]`, told with these words by `--help`. What has no default is required, a Literal allows its
values only, a tuple is written with commas. What is marked with BARE has no name on the command line (`main NETWORK`).
"""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from stages.command.kinds import is_bare, option

Params = Annotated[Path, "the parameter file; params.yaml if left out"]
PARAMS = Path("params.yaml")
Data = Annotated[Path, "the folder of the data set"]
Seed = Annotated[int, "of everything that is drawn at random"]
KeepRatio = Annotated[float, "share of the filters of each layer that stays, above 0 and at most 1"]
Compaction = Annotated[Literal["scatter", "coupled"], "coupled: layers that write one stream share a mask; scatter: none do"]
Guide = Annotated[Path, "the checkpoint of the distiller's teacher, or a folder of several"]
Log = Annotated[Path, "the log of the training to write (.csv)"]
ResumeDir = Annotated[Path, "the folder for the state of unfinished trainings, and for what teachers said"]


def arguments(main: Callable[..., None]) -> dict[str, Any]:
    """The words of the command line as arguments for `main`. Raises ValueError for words that do not fit it."""
    module = sys.modules[main.__module__]
    name = module.__spec__.name if module.__spec__ else module.__name__
    shape = argparse.RawDescriptionHelpFormatter
    parser = _Parser(f"python -m {name}", description=module.__doc__, formatter_class=shape, allow_abbrev=False)
    for parameter in inspect.signature(main).parameters.values():
        if is_bare(parameter):
            parser.add_argument(parameter.name, **option(parameter))
        else:
            parser.add_argument(f"--{parameter.name.strip('_').replace('_', '-')}", dest=parameter.name, **option(parameter))
    return vars(parser.parse_args())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        msg = f"{message}; see {self.prog} --help"
        raise ValueError(msg)
