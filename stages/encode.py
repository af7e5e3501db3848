"""Put a compact network into the file that ships, or take it out again.

--export FILE: share the weights of a compact checkpoint, fine-tune what they share, pack, read FILE back in a fresh process
and compare bit for bit; sizes and accuracy go into a .json beside it. Needs --source, --data, --seed and --resume-dir.
--import FILE: write the network in FILE as a checkpoint. Needs --out.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(
    export: Annotated[Path | None, "the packed network to write (.bin)"] = None,
    import_: Annotated[Path | None, "the packed network to read"] = None,
    source: Annotated[Path | None, "the compact checkpoint"] = None,
    data: Annotated[Path | None, "the folder of the data set"] = None,
    seed: Annotated[int | None, "of the order of the training images"] = None,
    resume_dir: Annotated[Path | None, "the folder for the state of unfinished trainings"] = None,
    out: Annotated[Path | None, "the checkpoint to write"] = None,
    params: Params = PARAMS,
) -> None:
    """One network, in or out."""
    from lib.steps import encode

    if import_ is not None and export is None and out is not None:
        if params.exists():
            read_params(params)  # the user's own builders may be run
        encode.decode(import_, out)
    elif export is not None and import_ is None and source and data and seed is not None and resume_dir:
        from lib.training.run import setting

        document = read_params(params)
        elsewhere = encode.read_back([sys.executable, "-m", "stages.encode", "--params", str(params)])
        encode.encode(document, source, setting(document, data, seed, resume_dir), export, elsewhere)
    else:
        msg = "give either --import and --out, or --export, --source, --data, --seed and --resume-dir"
        raise ValueError(msg)


if __name__ == "__main__":
    run(main)
