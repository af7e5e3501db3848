"""A training that is killed at any moment ends, when it is run again, in the bits of one that was left alone."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.formats.checkpoint import load
from lib.training import loop
from lib.training.resume import Unfinished, claimed, identity
from tests import interrupted, tiny

FILES = ("out.safetensors", "out.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six trainings, killed."""
    folder = tmp_path_factory.mktemp("killed")
    interrupted.prepare(folder)
    command = [sys.executable, "-m", "tests.interrupted", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=tiny.ROOT, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that this process trains."""
    done: list[int] = []
    original = loop._epoch

    def noted(task: Any, optimizer: Any, epoch: int, *others: Any) -> Any:
        done.append(epoch)
        return original(task, optimizer, epoch, *others)

    monkeypatch.setattr(loop, "_epoch", noted)
    return done


@pytest.mark.parametrize("kind", interrupted.KINDS)
def test_killed_trainings_end_in_the_same_bits(folder: Path, epochs: list[int], kind: str) -> None:
    document = interrupted.document()
    alone = interrupted.train(kind, folder, folder / f"{kind}-alone", document)
    assert epochs == [0, 1, 2]
    for moment in interrupted.MOMENTS:
        own = folder / f"{kind}-{moment}"
        assert len(list((own / "scratch").glob("*/state.pt"))) == 1
        assert not (own / "out.safetensors").exists()
        epochs.clear()
        interrupted.train(kind, folder, own, document)
        assert epochs == [1, 2]
        for name in FILES:
            assert (own / name).read_bytes() == (alone.parent / name).read_bytes()
        assert list((own / "scratch").iterdir()) == []


def test_the_resumed_kinds_hold_what_makes_them_hard(folder: Path) -> None:
    """The pruning has masks that changed and a method's state, and its guide and the distiller an adapter."""
    own = folder / "hard"
    given = interrupted.document()
    seen: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Unfinished, "save", lambda _, state: seen.append(dict(state)))
        patch.setattr("shutil.rmtree", lambda _: None)
        for kind in interrupted.KINDS:
            interrupted.train(kind, folder, own, given)
    teach, prune, distill = (seen[first :: interrupted.EPOCHS][0] for first in (0, 3, 6))
    assert (teach["extra"], dict(teach["hooks"])) == ([], {})
    assert [tensor.shape for tensor in prune["extra"]] == [(512, 64)]
    assert {wire.conv for wire in load(folder / "pruned.safetensors").network.wires} < set(prune["hooks"])  # masks and more
    assert prune["rows"][0]["mask_changes"] > 0
    assert [tensor.shape for tensor in distill["extra"]] == [(512, 64)]
    start = torch.nn.init.eye_(torch.empty(512, 64))
    assert not torch.equal(distill["extra"][0], start)


@pytest.mark.parametrize(
    "changes", [{"teacher__lr": 0.05}, {"augmentation__crop_padding": 0}, {"compute__precision": "bfloat16"}]
)
def test_another_training_does_not_continue_from_the_state(folder: Path, epochs: list[int], changes: dict[str, Any]) -> None:
    own = folder / "other"
    with pytest.raises(KeyboardInterrupt):
        _interrupted_after_one_epoch(folder, own, interrupted.document())
    epochs.clear()
    interrupted.train("teach", folder, own, interrupted.document(**changes))
    assert epochs == [0, 1, 2]
    epochs.clear()
    interrupted.train("teach", folder, own, interrupted.document())
    assert epochs == [1, 2]


def _interrupted_after_one_epoch(folder: Path, own: Path, given: dict[str, Any], kind: str = "teach") -> None:
    original = Unfinished.save

    def stop(place: Unfinished, state: Any) -> None:
        original(place, state)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Unfinished, "save", stop)
        interrupted.train(kind, folder, own, given)


def test_another_seed_does_not_continue_from_the_state(folder: Path, epochs: list[int]) -> None:
    own = folder / "seeds"
    with pytest.raises(KeyboardInterrupt):
        _interrupted_after_one_epoch(folder, own, interrupted.document())
    epochs.clear()
    interrupted.train("teach", folder, own, interrupted.document(), seed=1)
    assert epochs == [0, 1, 2]


def test_a_run_that_another_process_is_doing_is_refused(folder: Path) -> None:
    own = folder / "locked"
    with pytest.raises(KeyboardInterrupt):
        _interrupted_after_one_epoch(folder, own, interrupted.document())
    (lock,) = (own / "scratch").glob("*.lock")
    hold = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"another process is training this very run .lock {lock}.; wait for it"):
            interrupted.train("teach", folder, own, interrupted.document())
        other.stdin.write("\n")
    assert list((own / "scratch").glob("*/state.pt")) != []
    interrupted.train("teach", folder, own, interrupted.document())
    assert list((own / "scratch").iterdir()) == []


def test_the_state_stays_when_the_work_fails(tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt), claimed(tmp_path, "key") as place:
        place.save({"epoch": 1})
        raise KeyboardInterrupt
    with claimed(tmp_path, "key") as place:
        assert place.load() == {"epoch": 1}
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path, "key") as place:
        assert place.load() is None


def test_a_state_that_is_being_written_never_replaces_the_one_before(tmp_path: Path) -> None:
    place = Unfinished(tmp_path)
    place.save({"epoch": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", _half)
        with pytest.raises(KeyboardInterrupt):
            place.save({"epoch": 2})
    assert place.load() == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def _half(_: Any, path: Path) -> None:
    path.write_bytes(b"half")
    raise KeyboardInterrupt


def test_identity_depends_on_every_value_and_on_nothing_else() -> None:
    keys = [identity(a=a, b=b) for a in (1, 2) for b in ("x", None)]
    assert len(set(keys)) == 4
    assert identity(b="x", a=1) == keys[0]


def test_identity_depends_on_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code.py").write_text("x = 1")
    monkeypatch.setattr("lib.training.resume.LIBRARY", tmp_path)
    before = identity(a=1)
    (tmp_path / "code.py").write_text("x = 2")
    assert identity(a=1) != before


def test_a_changed_network_does_not_continue_from_the_state(folder: Path, epochs: list[int]) -> None:
    """The same settings, distilling a network with other weights."""
    own, given = folder / "weights", interrupted.document()
    with pytest.raises(KeyboardInterrupt):
        _interrupted_after_one_epoch(folder, own, given, "distill")
    states = list((own / "scratch").glob("*/state.pt"))
    epochs.clear()
    original = (folder / "pruned.safetensors").read_bytes()
    changed = bytearray(original)
    start = 8 + int.from_bytes(original[:8], "little")
    offsets = json.loads(original[8:start])["classifier.bias"]["data_offsets"]
    changed[start + offsets[0] : start + offsets[0] + 4] = torch.tensor([0.5]).numpy().tobytes()
    try:
        (folder / "pruned.safetensors").write_bytes(changed)
        interrupted.train("distill", folder, own, given)
    finally:
        (folder / "pruned.safetensors").write_bytes(original)
    assert epochs == [0, 1, 2]
    assert list((own / "scratch").glob("*/state.pt")) == states
