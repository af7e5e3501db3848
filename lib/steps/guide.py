"""The body of stage `guide`: gather the distillers' teachers of one seed."""

import shutil
from pathlib import Path

from lib.distillation.teachers import load, refuse_weak, verified
from lib.params.suite import Given
from lib.training.run import Setting


def assemble(teachers: tuple[str | Given, ...], trained: Path, setting: Setting, out: Path, allow_weak: bool) -> None:
    """Copy the checkpoints of the named teachers into folder `out`, where `load` finds them; others that it held go.

    trained: the folder of the suite's own teachers, <network>.safetensors. Raises ValueError for a file that is not there or
    is another one, for teachers that do not fit the data, and, unless allow_weak, for one that hardly knows
    more than the commonest class.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.safetensors"):
        old.unlink()
    for number, teacher in enumerate(teachers):
        path = verified(teacher) if isinstance(teacher, Given) else trained / f"{teacher}.safetensors"
        if not path.is_file():
            msg = f"{path} is not there; train {teacher} first (it must be in benchmark.trained)"
            raise ValueError(msg)
        shutil.copy(path, out / f"{number:02}-{path.stem}.safetensors")  # whatever the given one is called
    if allow_weak:
        load(out, setting)
    else:
        refuse_weak(out, setting)
