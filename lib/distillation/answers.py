"""A teacher's logits of mini-batches, on disk, for all distillations that see the same ones.

All distillations of a seed draw the same mini-batches, augmented alike (lib/training/loop.py). Where no term looks inside the
teacher, each asks it the same; here it is asked once. An answer is filed under all that decides its bits: the teacher, the
settings, the library's code, torch's version and the very pixels. So it is the one that would be computed.
"""

import hashlib
import logging
import os
import shutil
import time
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from lib.atomic import write_bytes
from lib.training.device import device_name
from lib.training.objective import Recall
from lib.training.resume import OUTDATED_DAYS, identity
from lib.training.run import Setting, digest
from lib.training.taps import Outputs, Tapped

FOLDER = "answers"
GIB = 2**30
DIGEST_BYTES = 16

log = logging.getLogger(__name__)


def filed(teacher: Tapped, setting: Setting, gib: float) -> Recall | None:
    """What asks the teacher, or finds its answer in the folder of unfinished trainings; gib: that all answers there may take.

    None where a term looks inside the teacher, and on a GPU, which answers sooner than images are hashed.
    """
    if teacher.taps or setting.device.type != "cpu":
        return None
    root = setting.resume_dir / FOLDER
    decides = {"teacher": digest(teacher.network), "compute": setting.compute.decisive, "device": device_name(setting.device)}
    folder = root / identity(**decides)
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    _remove_outdated(root)
    return Answers(teacher, folder, round(gib * GIB) - _bytes(root))


class Answers:
    """A teacher that is asked once: called with normalised images (b, C, H, W), it gives its logits of them.

    room: bytes that new answers may take; what is beyond is computed each time.
    """

    def __init__(self, teacher: Tapped, folder: Path, room: int) -> None:
        self.teacher, self.folder, self.room = teacher, folder, room

    def __call__(self, images: Tensor, _: Tensor | None = None) -> Outputs:
        """What the teacher says."""
        question = _digest(images.contiguous().numpy().tobytes()).hex()
        path = self.folder / question[:2] / question[2:]
        if path.is_file() and (content := _whole(path.read_bytes())):
            return Outputs(load(content)["logits"], {})
        answer = self.teacher(images)
        self._file(path, save({"logits": answer.logits.contiguous()}))
        return answer

    def _file(self, path: Path, content: bytes) -> None:
        if self.room < 0:
            return
        self.room -= DIGEST_BYTES + len(content)
        if self.room < 0:
            log.warning("the teacher's answers fill running.answers_gib; what else it is asked is computed each time")
            return
        write_bytes(path, _digest(content) + content, durable=False)


def _whole(content: bytes) -> bytes:
    """What stands behind its digest; nothing where a power cut left a part."""
    digest, rest = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return rest if digest == _digest(rest) else b""


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _bytes(root: Path) -> int:
    return sum(found.st_size for path in root.glob("*/*/*") if (found := _found(path)))


def _found(path: Path) -> os.stat_result | None:
    """What the system says of a path; nothing where another process has removed it meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _remove_outdated(root: Path) -> None:
    """Remove the answers of teachers that nobody has asked for weeks."""
    for folder in root.iterdir():
        found = _found(folder)
        if found and found.st_mtime < time.time() - OUTDATED_DAYS * 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)  # another process may be removing it too
