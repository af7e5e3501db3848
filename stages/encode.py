"""Put a compact network into the file that ships, or take it out again.

--export FILE: share the weights of a compact checkpoint, fine-tune what they share, pack, read FILE back in a fresh process
and compare bit for bit; sizes and accuracy go into a .json beside it. Needs --source, --data, --seed and --resume-dir.
--import FILE: write the network in FILE as a checkpoint. Needs --out.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from lib.formats.checkpoint import Checkpoint, load, save
from lib.formats.packed import unpacked
from stages.command import run

NEEDS = {"export": ("source", "data", "seed", "resume_dir"), "import": ("out",)}


def main() -> None:
    """One network, in or out."""
    given = _arguments()
    if given.export is None:
        save(given.out, unpacked(getattr(given, "import")))
        return
    from lib.params.section import parse
    from lib.steps.encode import encode
    from lib.training.run import setting

    document = parse(given.params.read_text())
    encode(document, given.source, setting(document, given.data, given.seed, given.resume_dir), given.export, _elsewhere)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: params.yaml")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--export", type=Path, metavar="FILE", help="the packed network to write (.bin)")
    way.add_argument("--import", type=Path, metavar="FILE", help="the packed network to read")
    parser.add_argument("--source", type=Path, metavar="PATH", help="the compact checkpoint")
    parser.add_argument("--data", type=Path, metavar="PATH", help="the folder of the data")
    parser.add_argument("--seed", type=int, metavar="N", help="of the order of the training images")
    parser.add_argument("--resume-dir", type=Path, metavar="PATH", help="for the state of an unfinished training")
    parser.add_argument("--out", type=Path, metavar="PATH", help="the checkpoint to write")
    given = parser.parse_args()
    chosen = "import" if given.export is None else "export"
    absent = [f"--{name.replace('_', '-')}" for name in NEEDS[chosen] if getattr(given, name) is None]
    if absent:
        parser.error(f"--{chosen} needs {', '.join(absent)} too")
    return given


def _elsewhere(path: Path) -> Checkpoint:
    """What a fresh process finds in a packed network."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "found.safetensors"
        command = [sys.executable, "-m", "stages.encode", "--import", str(path), "--out", str(copy)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            msg = f"a fresh process cannot read the packed network: {done.stderr.strip()}"
            raise ValueError(msg)
        return load(copy)


if __name__ == "__main__":
    run(main)
