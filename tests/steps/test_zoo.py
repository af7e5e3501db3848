"""Networks kept in the repository: the best seed of each row, with a card that is true; and every kind of lie is found."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lib.atomic import write_text
from lib.formats.checkpoint import Checkpoint
from lib.formats.packed import pack, unpacked
from lib.images.augmentation import STILL
from lib.images.dataset import Dataset, load
from lib.images.minibatches import minibatches
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.params.suite import Benchmark, Suite
from lib.quantization.sharing import share_
from lib.randomness import stream
from lib.steps import zoo
from lib.tables.latencies import Line
from lib.training.device import Compute
from lib.training.evaluation import evaluate
from tests import tiny
from tests.fuzzing.container_parts import parted

AXES = Benchmark("resnet8", ("resnet8",), ("l1",), (0.5,), ("none",), (0, 1), "coupled")
SUITE = Suite("made-up", "digits", "resnet8", AXES)
COMPUTE = Compute(
    device="cpu", threads=1, precision="float32", train_remaining=True, processes=1, rendezvous=None, compile=False
)
ORIGIN = zoo.Origin("0123abc", "make suite NAME=made-up && make repro")
BEST = {"dense": 1, "l1": 0}  # seed that is better on validation
TIMINGS = {("l1", 0.5): Line("0.1 ms, 2.00 times as fast as dense (onnxruntime, 1 thread, batch 1; a machine)", 0, 5)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(tiny.digits(tmp_path_factory.mktemp("digits")))


def _packed(seed: int, data: Dataset) -> tuple[bytes, float]:
    """A network of random weights, and what it scores."""
    network = build(Architecture("resnet8", 10, 1), stream(seed, "initialisation")).eval()
    share_(network, {"*": 3})
    checkpoint = Checkpoint(network, None, data.shape, data.mean, data.std, {"epochs": 9})
    test = minibatches(data, data.splits["test"], STILL, torch.device("cpu"))
    return pack(checkpoint, "huffman").content, round(evaluate(network, test).top1, 6)


@pytest.fixture
def folder(tmp_path: Path, data: Dataset) -> Path:
    """A suite of two rows and two seeds, and what is kept of it."""
    for name in ("encoded", "cells"):
        (tmp_path / name).mkdir()
    for cell in SUITE.cells:
        content, top1 = _packed(cell.seed + 2 * (cell.method == "l1"), data)
        (tmp_path / f"encoded/{cell.key}.bin").write_bytes(content)
        validation = 90.0 + (cell.seed == BEST[cell.method])
        numbers = {"encoded_top1": top1, "validation_top1": validation, "top1": 1.0, "params": 7, "macs": 5, "macs_ratio": 0.5}
        packed = {"encoded_top1": top1, "encoded_bytes": len(content)}
        (tmp_path / f"encoded/{cell.key}.json").write_text(json.dumps(packed))
        (tmp_path / f"cells/{cell.key}.json").write_text(json.dumps(numbers | packed | {"epochs": 12}))
    zoo.gather(SUITE, tmp_path, tmp_path / "cells", TIMINGS, ORIGIN, tmp_path / "zoo")
    return tmp_path


def _verified(folder: Path, data: Dataset) -> dict[str, str]:
    known = zoo.cards(folder / "zoo")
    return {found.name: found.problem for found in zoo.verify(folder / "zoo", folder / "cells", data, COMPUTE, known, known)}


def test_the_best_seed_of_every_row_is_kept_with_its_card(folder: Path, data: Dataset) -> None:
    cards = zoo.cards(folder / "zoo")
    assert cards.keys() == {"dense-1.0-none-1", "l1-0.5-none-0"}
    card = cards["l1-0.5-none-0"]
    content = (folder / "encoded/l1-0.5-none-0.bin").read_bytes()
    assert (folder / "zoo/l1-0.5-none-0.bin").read_bytes() == content
    assert (card.sha256, card.file_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (card.method, card.seed, card.epochs, card.validation_top1) == ("l1", 0, 12, 91.0)
    assert (card.latency, card.commit) == (TIMINGS["l1", 0.5].text, "0123abc")
    page = (folder / "zoo/README.md").read_text()
    assert "python -m tools.verify --suite made-up" in page
    assert "Compare methods and distillers by that table: rows here may be of different seeds.\n" in page


def _gather(folder: Path) -> set[str]:
    zoo.gather(SUITE, folder, folder / "cells", TIMINGS, ORIGIN, folder / "zoo")
    return {path.name for path in (folder / "zoo").iterdir()}


def test_a_network_of_another_machine_stays_until_a_better_seed_comes(folder: Path, data: Dataset) -> None:
    there = {path.name for path in (folder / "zoo").iterdir()}
    (folder / "encoded/l1-0.5-none-0.bin").unlink()
    assert _gather(folder) == there
    cell = folder / "cells/l1-0.5-none-1.json"
    cell.write_text(json.dumps(json.loads(cell.read_text()) | {"validation_top1": 95.0}))
    assert _gather(folder) == {name.replace("l1-0.5-none-0", "l1-0.5-none-1") for name in there}
    assert _verified(folder, data) == {"dense-1.0-none-1": "", "l1-0.5-none-1": ""}


@pytest.mark.parametrize(("timed", "macs", "said"), [(0, 5, "0.1 ms"), (1, 5, "0.1 ms; of seed 1"), (1, 6, "")])
def test_a_card_has_the_time_of_a_network_of_its_size_alone(folder: Path, timed: int, macs: int, said: str) -> None:
    """Some methods choose their widths, by seed, and one seed is timed."""
    timings = {("l1", 0.5): Line("0.1 ms", timed, macs)}
    zoo.gather(SUITE, folder, folder / "cells", timings, ORIGIN, folder / "zoo")
    assert zoo.cards(folder / "zoo")["l1-0.5-none-0"].latency == said


def test_a_card_of_a_scatter_suite_has_the_time_of_its_own_seed_alone(folder: Path) -> None:
    """Its shapes as it ships depend on which filters were kept."""
    suite = replace(SUITE, benchmark=replace(AXES, compaction="scatter"))
    for seed, said in ((0, "0.1 ms"), (1, "")):
        zoo.gather(suite, folder, folder / "cells", {("l1", 0.5): Line("0.1 ms", seed, 5)}, ORIGIN, folder / "zoo")
        card = json.loads((folder / "zoo/l1-0.5-none-0.json").read_text())
        assert card["latency"] == said


def test_a_packed_network_without_what_is_beside_it_is_made_again(folder: Path) -> None:
    (folder / "encoded/l1-0.5-none-0.json").unlink()
    (folder / "zoo/l1-0.5-none-0.json").unlink()
    with pytest.raises(ValueError, match=r"l1-0\.5-none-0\.bin is missing; make it with: dvc repro"):
        _gather(folder)


@pytest.mark.parametrize(("timings", "said"), [(TIMINGS, TIMINGS["l1", 0.5].text), ({}, "0.3 ms, of then")])
def test_the_card_of_a_network_of_another_machine_takes_the_time_of_the_table(
    folder: Path, timings: zoo.Timings, said: str
) -> None:
    (folder / "encoded/l1-0.5-none-0.bin").unlink()
    path = folder / "zoo/l1-0.5-none-0.json"
    before = json.loads(path.read_text()) | {"latency": "0.3 ms, of then"}
    path.write_text(json.dumps(before))
    zoo.gather(SUITE, folder, folder / "cells", timings, ORIGIN, folder / "zoo")
    assert json.loads(path.read_text()) == before | {"latency": said}
    assert said in (folder / "zoo/README.md").read_text()


def test_a_suite_that_is_partly_run_has_the_best_of_what_is_there(folder: Path) -> None:
    (folder / "cells/l1-0.5-none-0.json").unlink()
    assert _gather(folder) == {
        "README.md", "dense-1.0-none-1.bin", "dense-1.0-none-1.json", "l1-0.5-none-1.bin", "l1-0.5-none-1.json"
    }  # fmt: skip
    for seed in (0, 1):
        (folder / f"cells/dense-1.0-none-{seed}.json").unlink()
    assert _gather(folder) == {"README.md", "l1-0.5-none-1.bin", "l1-0.5-none-1.json"}
    (folder / "cells/l1-0.5-none-1.json").unlink()
    with pytest.raises(ValueError, match=r"holds no cell of the suite 'made-up'; make them with: dvc repro"):
        _gather(folder)


def test_dense_networks_are_kept_where_they_lie_among_the_models(folder: Path) -> None:
    write_text(folder / "trained/1/resnet8.safetensors", "of seed 1")
    write_text(folder / "trained/1/resnet20.safetensors", "of another suite")
    kept = folder / "zoo/trained/1/resnet8.safetensors"
    assert zoo.keep_dense(SUITE, folder, folder / "zoo") == [kept]
    _gather(folder)
    assert kept.read_text() == "of seed 1"


def test_what_is_kept_scores_what_it_is_said_to(folder: Path, data: Dataset) -> None:
    assert _verified(folder, data) == {"dense-1.0-none-1": "", "l1-0.5-none-0": ""}


def _one_bit(folder: Path) -> None:
    path = folder / "zoo/l1-0.5-none-0.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _of_code(folder: Path) -> None:
    """A network of somebody's own code that nobody allowed, with the card of its file."""
    path, card = folder / "zoo/l1-0.5-none-0.bin", folder / "zoo/l1-0.5-none-0.json"
    path.write_bytes(parted(unpacked(path)).container(name="os:system"))
    told = json.loads(card.read_text()) | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    card.write_text(json.dumps(told))


def _one_weight(folder: Path) -> None:
    """A network that is whole, with a card that knows its file, and another classifier."""
    path, card = folder / "zoo/l1-0.5-none-0.bin", folder / "zoo/l1-0.5-none-0.json"
    checkpoint = unpacked(path)
    with torch.no_grad():
        checkpoint.network.get_parameter("classifier.bias")[3] += 100.0
    path.write_bytes(pack(checkpoint, "huffman").content)
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))


def _card(folder: Path) -> None:
    path = folder / "zoo/l1-0.5-none-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"top1": 99.0}))


def _table(folder: Path) -> None:
    path = folder / "cells/l1-0.5-none-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"encoded_top1": 99.0}))


@pytest.mark.parametrize("change", [_one_bit, _table], ids=["file", "table"])
def test_a_network_of_another_machine_that_is_not_the_tables_is_refused(folder: Path, change: Callable[[Path], None]) -> None:
    (folder / "encoded/l1-0.5-none-0.bin").unlink()
    change(folder)
    with pytest.raises(ValueError, match=r"l1-0\.5-none-0\.bin is missing, and .* is another network: .*dvc repro"):
        _gather(folder)


@pytest.mark.parametrize("change", [{"encoded_top1": 99.0}, {"encoded_bytes": 1}], ids=str)
def test_a_network_that_was_packed_after_the_table_was_made_is_refused(folder: Path, change: dict[str, float]) -> None:
    path = folder / "cells/l1-0.5-none-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (name,) = change
    with pytest.raises(ValueError, match=rf"l1-0\.5-none-0\.bin is not the network of the table: {name} is .*dvc repro"):
        _gather(folder)


def test_data_sets_of_other_settings_are_kept_apart() -> None:
    names = {zoo.folder_name({"name": "mine", "size": size}) for size in (32, 64)}
    assert len(names) == 2
    assert all(name.startswith("mine-") for name in names)


def _no_cell(folder: Path) -> None:
    (folder / "cells/l1-0.5-none-0.json").unlink()


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (_one_bit, "the file has sha256"),
        (_of_code, "l1-0.5-none-0.bin: a file asks for the builder os:system"),
        (_one_weight, "it scores"),
        (_card, "its card says 99.00 %"),
        (_table, "top1 is 99.0 in the table"),
        (_no_cell, "the table has no such cell"),
    ],
)
def test_a_lie_is_found_and_the_other_network_is_checked_all_the_same(
    folder: Path, data: Dataset, lie: Callable[[Path], None], told: str
) -> None:
    lie(folder)
    found = _verified(folder, data)
    assert told in found["l1-0.5-none-0"]
    assert found["dense-1.0-none-1"] == ""


def test_a_card_without_its_network_and_a_folder_without_cards_are_refused(folder: Path) -> None:
    (folder / "zoo/l1-0.5-none-0.bin").unlink()
    with pytest.raises(ValueError, match=r"lacks the networks of the cards l1-0\.5-none-0; take them from the repository"):
        zoo.cards(folder / "zoo")
    with pytest.raises(ValueError, match=r"holds no network; make it with: python -m tools\.zoo"):
        zoo.cards(folder / "cells" / "none")


def test_a_suite_that_is_not_run_yet_is_refused_with_a_cure(folder: Path) -> None:
    (folder / "encoded/dense-1.0-none-1.bin").unlink()
    with pytest.raises(ValueError, match=r"dense-1\.0-none-1\.bin is missing; make it with: dvc repro"):
        zoo.gather(SUITE, folder, folder / "cells", TIMINGS, ORIGIN, folder / "other")
