"""A training that is killed at any moment ends, when it is run again, in the bits of one that was left alone."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grimp
import pytest
import torch

from lib.formats.checkpoint import load, save
from lib.graph.manifests import closure
from lib.images.checksum import sha256_of
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.networks.ensemble import Ensemble
from lib.randomness import stream
from lib.steps.train_teacher import teach
from lib.training import loop
from lib.training.resume import AFTER, DIGEST_BYTES, LIBRARY, Unfinished, claimed, identity
from lib.training.run import digest, setting
from tests import interrupted, tiny
from tests.tiers import slow_but

FILES = ("out.safetensors", "out.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine trainings, killed."""
    folder = tmp_path_factory.mktemp("killed")
    interrupted.prepare(folder)
    command = [sys.executable, "-m", "tests.interrupted", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=tiny.ROOT, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, Path]:
    """What every kind of training ends in when it is left alone."""
    return {
        kind: interrupted.train(kind, folder, folder / f"{kind}-alone", interrupted.document()) for kind in interrupted.KINDS
    }


@pytest.fixture
def begun() -> list[int]:
    """How many steps of each epoch were done before."""
    return []


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch, begun: list[int]) -> list[int]:
    """The epochs that this process trains."""
    done: list[int] = []
    original = loop._epoch

    def noted(task: Any, now: Any, todo: Any, *others: Any) -> Any:
        done.append(todo.number)
        begun.append(0 if todo.done is None else todo.done.steps)
        return original(task, now, todo, *others)

    monkeypatch.setattr(loop, "_epoch", noted)
    return done


@pytest.mark.parametrize("kind", slow_but(["prune"], interrupted.KINDS))
def test_killed_trainings_end_in_the_same_bits(
    folder: Path, alone: dict[str, Path], epochs: list[int], begun: list[int], kind: str
) -> None:
    document = interrupted.document()
    for moment in interrupted.MOMENTS:
        begun.clear()
        own = folder / f"{kind}-{moment}"
        assert len(list((own / "scratch").glob("*/state.pt"))) == 1
        assert not (own / "out.safetensors").exists()
        epochs.clear()
        interrupted.train(kind, folder, own, document)
        assert epochs == [1, 2]
        assert begun == [1 if moment == "part" else 0, 0]  # saved after step 4 of all, the first of its epoch, killed after 5
        for name in FILES:
            assert (own / name).read_bytes() == (alone[kind].parent / name).read_bytes()
        assert list((own / "scratch").iterdir()) == []


def test_the_resumed_kinds_hold_what_makes_them_hard(folder: Path) -> None:
    """The pruning has masks that changed and a method's state, and its guide and the distiller an adapter."""
    own = folder / "hard"
    given = interrupted.document()
    seen: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Unfinished, "save", lambda _, state: seen.append(dict(state)))
        for kind in interrupted.KINDS:
            interrupted.train(kind, folder, own, given)
    teach, prune, distill = (seen[first :: interrupted.EPOCHS][0] for first in (0, 3, 6))
    assert (teach["extra"], dict(teach["hooks"])) == ([], {})
    assert [tensor.shape for tensor in prune["extra"]] == [(512, 64)]
    assert {layer.name for layer in load(folder / "pruned.safetensors").network.layers} < set(prune["hooks"])  # masks and more
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
    with _ended_by_the_first_state():
        interrupted.train(kind, folder, own, given)


@contextlib.contextmanager
def _ended_by_the_first_state() -> Iterator[None]:
    original = Unfinished.save

    def stop(place: Unfinished, state: Any) -> None:
        original(place, state)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Unfinished, "save", stop)
        yield


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


@pytest.mark.grid
@pytest.mark.parametrize("failing", [".safetensors", ".csv"])
@pytest.mark.parametrize("kind", interrupted.KINDS)
def test_a_result_that_cannot_be_written_costs_no_training(
    folder: Path, alone: dict[str, Path], tmp_path: Path, epochs: list[int], kind: str, failing: str
) -> None:
    """Disk full as the checkpoint or the log is written: told, and then nothing is trained again."""
    original = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).suffix == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(ValueError, match=rf"out\{failing}: the disk .* is full"):
            interrupted.train(kind, folder, tmp_path, interrupted.document())
    assert len(list((tmp_path / "scratch").glob("*/state.pt"))) == 1
    epochs.clear()
    interrupted.train(kind, folder, tmp_path, interrupted.document())
    assert epochs == []
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (alone[kind].parent / name).read_bytes()
    assert list((tmp_path / "scratch").iterdir()) == []


def _flipped(content: bytes) -> bytes:
    return content[:-5000] + bytes([content[-5000] ^ 1]) + content[-4999:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "short": lambda content: content[:20],
    "cut": lambda content: content[:-1],
    "one bit": _flipped,
    "one bit of the checksum": lambda content: bytes([content[0] ^ 128]) + content[1:],
    "longer": lambda content: content + b"x",
    "no checksum": lambda content: content[DIGEST_BYTES:],
    "foreign": lambda _: b"PK" + bytes(1000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_told_once_and_set_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    place = Unfinished(tmp_path / "key")
    for _ in range(2):
        place.save({"weights": torch.arange(5000.0)})
        place.file.write_bytes(DAMAGE[damage](place.file.read_bytes()))
        caplog.clear()
        assert place.load() is None
        aside = place.folder / "damaged.pt"
        assert [record.getMessage() for record in caplog.records] == [
            f"{place.file} is damaged or of another training; it is set aside as {aside}, the training starts again"
        ]
        assert list(place.folder.iterdir()) == [aside]
        caplog.clear()
        assert place.load() is None
        assert caplog.records == []


def test_the_state_of_another_training_is_not_taken(tmp_path: Path) -> None:
    one, other = Unfinished(tmp_path / "one"), Unfinished(tmp_path / "other")
    one.save({"epoch": 1})
    other.save({"epoch": 2})
    one.file.write_bytes(other.file.read_bytes())
    assert one.load() is None
    assert other.load() == {"epoch": 2}


def test_a_training_with_a_damaged_state_ends_in_the_same_bits(
    folder: Path, alone: dict[str, Path], tmp_path: Path, epochs: list[int]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted_after_one_epoch(folder, tmp_path, interrupted.document())
    (state,) = (tmp_path / "scratch").glob("*/state.pt")
    state.write_bytes(_flipped(state.read_bytes()))
    epochs.clear()
    interrupted.train("teach", folder, tmp_path, interrupted.document())
    assert epochs == [0, 1, 2]
    assert (tmp_path / "out.safetensors").read_bytes() == alone["teach"].read_bytes()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Unfinished(tmp_path / "key")
    place.save({"epoch": 1})
    size = place.file.stat().st_size

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = rf"^{place.file}: the disk .* is full; {size:,} bytes are needed and [\d,]+ are free"
    with pytest.raises(ValueError, match=said):
        place.save({"epoch": 2})
    assert place.load() == {"epoch": 1}
    assert list(place.folder.iterdir()) == [place.file]


def test_what_nobody_came_back_to_goes_and_nothing_else(tmp_path: Path) -> None:
    week, keys = 7 * 24 * 3600, [letter * 24 for letter in "abcdef"]
    for key, weeks in zip(keys, (0, 4, 5, 5, 5, 5), strict=True):
        Unfinished(tmp_path / key).save({"epoch": 1})
        os.utime(tmp_path / key, (time.time() - weeks * week,) * 2)
    (tmp_path / "notes").mkdir()
    os.utime(tmp_path / "notes", (0, 0))
    with claimed(tmp_path, keys[5]) as place, claimed(tmp_path, keys[4]):  # in use, however old
        place.save({"epoch": 2})
        with claimed(tmp_path, "0" * 24):
            pass
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == sorted({*keys[:2], *keys[4:], "notes"})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*keys[:2], "notes"})


def test_a_lock_that_its_owner_just_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = fcntl.flock, []

    def late(lock: Any, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            (tmp_path / "key.lock").unlink()
        original(lock, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with claimed(tmp_path, "key"):
        assert len(calls) == 2
        with pytest.raises(ValueError, match="another process is training this very run"), claimed(tmp_path, "key"):
            pass


def test_identity_depends_on_every_value_and_on_nothing_else() -> None:
    keys = [identity(a=a, b=b) for a in (1, 2) for b in ("x", None)]
    assert len(set(keys)) == 4
    assert identity(b="x", a=1) == keys[0]


def test_identity_depends_on_what_the_code_does_and_not_on_how_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.training.resume.LIBRARY", tmp_path)
    (tmp_path / "tables").mkdir()
    keys = []
    for text in ("def f():\n    return 1\n", '"""New."""\n\n\ndef f():  # one\n    """One."""\n    return (1)\n'):
        (tmp_path / "code.py").write_text(text)
        (tmp_path / "tables/text.py").write_text(f"x = {len(text)}")
        keys.append(identity(a=1))
    assert keys[0] == keys[1]
    (tmp_path / "code.py").write_text("def f():\n    return 2\n")
    changed = identity(a=1)
    (tmp_path / "code.py").rename(tmp_path / "other.py")
    assert len({keys[0], changed, identity(a=1)}) == 3


def test_rooms_that_do_not_decide_are_used_by_no_training() -> None:
    modules = [f"stages.{stage}" for stage in ("train_teacher", "prune", "distill", "encode")]
    used = closure(grimp.build_graph("lib", "stages", cache_dir=None), modules)
    rooms = {name.split(".")[1] for name in used if name.startswith("lib.")} - {"graph"}  # graph: how a stage ends with DVC
    there = {path.name for path in LIBRARY.iterdir() if any(path.glob("*.py"))}
    assert there - rooms == set(AFTER)


def test_a_changed_network_does_not_continue_from_the_state(folder: Path, epochs: list[int]) -> None:
    """The same settings, distilling a network with other weights."""
    own, given = folder / "weights", interrupted.document()
    with pytest.raises(KeyboardInterrupt):
        _interrupted_after_one_epoch(folder, own, given, "distill")
    states = list((own / "scratch").glob("*/state.pt"))
    epochs.clear()
    original = (folder / "pruned.safetensors").read_bytes()
    changed = load(folder / "pruned.safetensors")
    with torch.no_grad():
        changed.network.get_parameter("classifier.bias")[0] = 0.5
    try:
        save(folder / "pruned.safetensors", changed)
        interrupted.train("distill", folder, own, given)
    finally:
        (folder / "pruned.safetensors").write_bytes(original)
    assert epochs == [0, 1, 2]
    assert list((own / "scratch").glob("*/state.pt")) == states


def test_a_network_built_otherwise_does_not_continue_from_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same weights: another argument, another size of images, another code of the user's."""
    module = tmp_path / "mine_to_digest.py"
    module.write_text("from lib.networks.resnet import BUILDERS\n\nmake = BUILDERS['resnet8']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    allow(["mine_to_digest:make"])
    plain = Architecture("resnet8", 10, 1)
    mine = replace(plain, name="mine_to_digest:make")
    others = [plain, plain.with_arguments({"shortcut": "both"}), replace(plain, size=(8, 8)), mine]
    digests = [digest(build(one, stream(0, "initialisation"))) for one in others]
    module.write_text(module.read_text() + "# and more\n")
    digests.append(digest(build(mine, stream(0, "initialisation"))))
    assert len(set(digests)) == 5
    assert digest(build(plain, stream(0, "initialisation"))) == digests[0]
    pairs = [Ensemble([build(one, stream(0, "initialisation")) for one in (plain, other)]) for other in others[:2]]
    assert digest(pairs[0]) != digest(pairs[1])


def test_zero_filters_that_are_to_grow_do_not_continue_where_they_were_kept(folder: Path, epochs: list[int]) -> None:
    dense = load(folder / "dense.safetensors").network
    apply_(dense, Kept({name: torch.arange(len(weight)) > 3 for name, weight in dense.filters().items()}))
    torch.save(dense.state_dict(), folder / "zeros.pt")
    given = {"source": str(folder / "zeros.pt"), "sha256": sha256_of(folder / "zeros.pt"), "state": None, "rename": []}
    given |= {"zero_filters": "keep", "epochs": None, "expected": None}
    own = folder / "zeros"

    def train(zero_filters: str) -> None:
        mine = {"builder": "resnet8", "arguments": {}, "weights": given | {"zero_filters": zero_filters}}
        document = interrupted.document(networks={"mine": mine})
        here = setting(document, folder / "data", 0, own / "scratch")
        teach(document, "mine", here, own / "cache", own / "out.safetensors", own / "out.csv")

    with pytest.raises(KeyboardInterrupt), _ended_by_the_first_state():
        train("keep")
    epochs.clear()
    train("grow")
    assert epochs == [0, 1, 2]
    epochs.clear()
    train("keep")
    assert epochs == [1, 2]
