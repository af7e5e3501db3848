"""The encode stage: what ships is read back elsewhere, is the network that was tuned, and is described truly."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint, load, save
from lib.formats.packed import opened
from lib.images.augmentation import STILL
from lib.masks.kept import Kept, apply_, everything
from lib.masks.weights import weights
from lib.params.section import read
from lib.pruning.layers import EVERYWHERE
from lib.steps.encode import EncodeSettings, encode
from lib.steps.measure import measure
from lib.training.device import Compute
from lib.training.evaluation import Scores, evaluate
from lib.training.resume import Unfinished
from lib.training.run import Setting
from tests import tiny
from tests.networks_for_tests import lived_in, random_masks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, and a compact network for them."""
    folder = tmp_path_factory.mktemp("encoding")
    tiny.digits(folder)
    network = lived_in("resnet8", in_channels=1)
    masks = random_masks(network)
    apply_(network, Kept(masks))
    data = tiny.here(tiny.document(), folder).dataset
    small = compact(network, Kept(masks), "scatter")
    save(folder / "compact.safetensors", Checkpoint(small, None, data.shape, data.mean, data.std, {"epochs": 1}))
    return folder


def document(**changes: Any) -> dict[str, Any]:
    """Tiny, with these settings of `encode`."""
    found = tiny.document(encode__training__epochs=1)
    found["encode"] |= changes
    return found


def encoded(given: Mapping[str, Any], folder: Path, out: Path, seed: int = 0) -> dict[str, float]:
    encode(given, folder / "compact.safetensors", tiny.here(given, folder, seed), out, opened)
    numbers: dict[str, float] = json.loads(out.with_suffix(".json").read_text())
    return numbers


@pytest.mark.parametrize("coder", ["huffman", "ans"])
def test_the_file_holds_few_values_a_layer_and_tuning_moved_them(folder: Path, tmp_path: Path, coder: str) -> None:
    encoded(document(bits=3, coder=coder), folder, tmp_path / "tuned.bin")
    encoded(document(bits=3, coder=coder, training=None), folder, tmp_path / "still.bin")
    tuned, still = (opened(tmp_path / name).network for name in ("tuned.bin", "still.bin"))
    for name, own in weights(still).items():
        moved = weights(tuned)[name]
        assert max(len(own.unique()), len(moved.unique())) <= 9
        assert not torch.equal(own, moved)


def test_bytes_accuracy_and_ratios_are_true(folder: Path, tmp_path: Path) -> None:
    given = document(bits=4)
    numbers = encoded(given, folder, tmp_path / "a.bin")
    total = (tmp_path / "a.bin").stat().st_size
    parts = ("conv", "linear", "batch_norm", "index", "codebook", "header")
    assert numbers["encoded_bytes"] == total == sum(numbers[f"encoded_bytes_{part}"] for part in parts)
    source = load(folder / "compact.safetensors").network
    dense = lived_in("resnet8", in_channels=1)
    for name, network in (("encoded_ratio", dense), ("encoded_ratio_to_compact", source)):
        size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
        assert numbers[name] == pytest.approx(size / total, abs=1e-6)
    assert 0 < numbers["encoded_entropy_bytes"] <= numbers["encoded_stream_bytes"] < numbers["encoded_bytes_conv"] + 400
    here: Setting = tiny.here(given, folder)
    score = evaluate(opened(tmp_path / "a.bin").network, here.batches("test", STILL)).top1
    assert numbers["encoded_top1"] == pytest.approx(score, abs=1e-6)


def test_the_same_run_gives_the_same_bytes_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        encoded(document(), folder, tmp_path / f"{name}.bin", seed)
    first, again, other = ((tmp_path / f"{name}.bin").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_a_normalisation_of_its_own_is_kept_to(folder: Path, tmp_path: Path) -> None:
    """A network from elsewhere: tuned, scored and shipped with what it was trained with."""
    other = replace(load(folder / "compact.safetensors"), mean=(0.8,), std=(0.1,))
    save(tmp_path / "compact.safetensors", other)
    given = document()
    here = tiny.here(given, folder)
    encode(given, tmp_path / "compact.safetensors", here, tmp_path / "a.bin", opened)
    save(tmp_path / "out.safetensors", opened(tmp_path / "a.bin"))
    compute = read(given, "compute", Compute)
    measured = measure(tmp_path / "out.safetensors", here.dataset, 1.0, EVERYWHERE, compute).numbers
    told = json.loads((tmp_path / "a.json").read_text())
    assert measured["top1"] == told["encoded_top1"]
    plain = encoded(given, folder, tmp_path / "b.bin")
    assert opened(tmp_path / "a.bin").mean == (0.8,)
    assert told["encoded_top1"] != plain["encoded_top1"]


def test_zeros_of_layers_that_no_pattern_fits_are_held(folder: Path, tmp_path: Path) -> None:
    checkpoint = load(folder / "compact.safetensors")
    for weight in weights(checkpoint.network).values():
        weight.data.flatten()[::2] = 0.0
    save(tmp_path / "compact.safetensors", checkpoint)
    given = document(bits={"classifier": 5})
    encode(given, tmp_path / "compact.safetensors", tiny.here(given, folder), tmp_path / "a.bin", opened)
    for name, weight in weights(opened(tmp_path / "a.bin").network).items():
        before = weights(checkpoint.network)[name]
        assert torch.equal(weight == 0, before == 0), name
        assert not torch.equal(weight, before), name


def test_the_notes_are_those_of_the_tuned_network(folder: Path, tmp_path: Path) -> None:
    checkpoint = load(folder / "compact.safetensors")
    noted = {"epochs": 7, "validation_top1": 12.0, "masked_top1": 3.0, "compaction": "scatter"}
    save(tmp_path / "compact.safetensors", replace(checkpoint, notes=noted))
    given = document(bits=4)
    encode(given, tmp_path / "compact.safetensors", tiny.here(given, folder), tmp_path / "a.bin", opened)
    expected = {"epochs": 8, "compaction": "scatter", "encoded": {"bits": {"*": 4}, "coder": "huffman"}}
    assert opened(tmp_path / "a.bin").notes == expected


def test_an_interrupted_run_ends_in_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = document()
    given["encode"]["training"]["epochs"] = 2
    encoded(given, folder, tmp_path / "whole.bin")
    saved = Unfinished.save

    def stop(self: Unfinished, state: Any) -> None:
        saved(self, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            encoded(given, folder, tmp_path / "again.bin")
    assert not (tmp_path / "again.bin").exists()
    epochs: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "save", lambda self, state: (epochs.append(state), saved(self, state)))
        encoded(given, folder, tmp_path / "again.bin")
    assert len(epochs) == 1
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "whole.bin").read_bytes()


def _nudged(path: Path) -> Checkpoint:
    found = opened(path)
    found.network.get_parameter("bn1.bias").data[0] += 1e-6
    return found


def _negative_zero(path: Path) -> Checkpoint:
    found = opened(path)
    found.network.get_parameter("bn1.bias").data[0] = -0.0
    return found


WRONG: dict[str, tuple[Callable[[Path], Checkpoint], str]] = {
    "a number": (_nudged, r"differs from the one written in bn1\.bias$"),
    "a sign": (_negative_zero, r"differs from the one written in bn1\.bias$"),
    "a network": (
        lambda path: replace(opened(path), network=lived_in("resnet8", in_channels=1)),
        r"has network\.architecture Architecture",
    ),
    "a mean": (lambda path: replace(opened(path), mean=(9.0,)), r"has mean \(9\.0,\), the one written \(0\."),
    "a shape": (lambda path: replace(opened(path), shape=(1, 9, 9)), r"has shape \(1, 9, 9\), the one written \(1, 8, 8\)"),
    "a note": (lambda path: replace(opened(path), notes={}), r"has notes {}, the one written {"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_read_back_wrongly_stops_the_stage_and_leaves_no_file(folder: Path, tmp_path: Path, name: str) -> None:
    checkpoint = load(folder / "compact.safetensors")
    checkpoint.network.get_parameter("bn1.bias").data[0] = 0.0
    save(tmp_path / "compact.safetensors", checkpoint)
    given, (wrong, said) = document(training=None), WRONG[name]
    with pytest.raises(ValueError, match=said):
        encode(given, tmp_path / "compact.safetensors", tiny.here(given, folder), tmp_path / "out/a.bin", wrong)
    assert list((tmp_path / "out").iterdir()) == []


def test_another_accuracy_stops_the_stage(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter((Scores(50.0, 90.0, 1.0), Scores(49.0, 90.0, 1.0)))
    monkeypatch.setattr("lib.steps.encode.evaluate", lambda *_: next(scores))
    with pytest.raises(ValueError, match=r"the network read back scores 49\.0 %, the one written 50\.0 %"):
        encoded(document(training=None), folder, tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


REFUSED: dict[str, tuple[Callable[[Checkpoint], Checkpoint], str, str]] = {
    "masks": (
        lambda one: replace(one, kept=everything(one.network)),
        "a.bin",
        "holds masks; give the checkpoint that the compact stage wrote",
    ),
    "other images": (
        lambda one: replace(one, shape=(1, 9, 9)),
        "a.bin",
        "is for images of 1x9x9 in 10 classes, digits has images of 1x8x8 in 10 classes; give the data",
    ),
    "no name": (lambda one: one, "a.json", r"a packed network's name ends in \.bin, .*; name it a\.bin"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_before_any_work(folder: Path, tmp_path: Path, name: str) -> None:
    change, out, said = REFUSED[name]
    save(tmp_path / "compact.safetensors", change(load(folder / "compact.safetensors")))
    with pytest.raises(ValueError, match=said):
        encode(document(), tmp_path / "compact.safetensors", tiny.here(document(), folder), tmp_path / out, opened)
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize("bits", [0, 9, {"conv1": 0}, "five"])
def test_bits_out_of_range_are_refused(bits: Any) -> None:
    with pytest.raises(ValueError, match=r"encode\.bits"):
        read(document(bits=bits), "encode", EncodeSettings)
