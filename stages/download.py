"""Obtain a data set, decode it to uint8, hold out a validation split; write one folder.

Reads sections `data` and `running` of the parameter file.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(
    cache: Annotated[Path, "the folder that keeps what was downloaded"],
    out: Annotated[Path, "the folder to write"],
    params: Params = PARAMS,
) -> None:
    """One data set."""
    from lib.images.settings import DataSettings
    from lib.params.section import read
    from lib.progress import images
    from lib.steps.download import make
    from lib.training.running import Running

    document = read_params(params)
    settings, running = read(document, "data", DataSettings), read(document, "running", Running)
    for remark in make(settings, cache, images, out, running.workers):
        sys.stderr.write(f"{remark}\n")


if __name__ == "__main__":
    run(main)
