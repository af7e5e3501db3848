"""The encode stage: what ships is read back elsewhere, is the network that was tuned, and is described truly."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoint import Checkpoint, load, save
from lib.compaction import compact
from lib.container import opened
from lib.encoding import Params, encode
from lib.evaluation import evaluate
from lib.params import read
from lib.pruning.masks import apply_
from lib.runs import STILL, Setting
from tests import tiny
from tests.networks_for_tests import lived_in, random_masks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, and a compact network for them."""
    folder = tmp_path_factory.mktemp("encoding")
    tiny.digits(folder)
    network = lived_in("resnet8", in_channels=1)
    masks = random_masks(network)
    apply_(network, masks)
    data = tiny.here(tiny.document(), folder).dataset
    small = compact(network, masks, "scatter")
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
    source = load(folder / "compact.safetensors").network
    layers = [name for name, module in source.named_modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    for name in layers:
        own, moved, given = (one.get_submodule(name).weight for one in (still, tuned, source))
        if len(given[given != 0].unique()) > 8:  # type: ignore[index, union-attr]
            assert len(own.unique()) <= 9  # type: ignore[operator]
            assert len(moved.unique()) <= 9  # type: ignore[operator]
        assert not torch.equal(own, moved)  # type: ignore[arg-type]


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


def _nudged(path: Path) -> Checkpoint:
    found = opened(path)
    found.network.norm(found.network.wires[0]).bias.data[0] += 1e-6
    return found


def _negative_zero(path: Path) -> Checkpoint:
    found = opened(path)
    found.network.norm(found.network.wires[0]).bias.data[0] = -0.0
    return found


def _other_network(path: Path) -> Checkpoint:
    return replace(opened(path), network=lived_in("resnet8", in_channels=1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (_nudged, r"differs from the one written in bn1\.bias$"),
        (_negative_zero, r"differs from the one written in bn1\.bias$"),
        (_other_network, "the network read back is a Architecture"),
    ],
)
def test_what_is_read_back_wrongly_stops_the_stage_and_leaves_no_file(
    folder: Path, tmp_path: Path, wrong: Any, said: str
) -> None:
    checkpoint = load(folder / "compact.safetensors")
    checkpoint.network.norm(checkpoint.network.wires[0]).bias.data[0] = 0.0
    save(tmp_path / "compact.safetensors", checkpoint)
    given = document(training=None)
    with pytest.raises(ValueError, match=said):
        encode(given, tmp_path / "compact.safetensors", tiny.here(given, folder), tmp_path / "out/a.bin", wrong)
    assert list((tmp_path / "out").iterdir()) == []


def test_nan_weights_are_refused_by_layer(folder: Path, tmp_path: Path) -> None:
    checkpoint = load(folder / "compact.safetensors")
    checkpoint.network.conv(checkpoint.network.wires[0]).weight.data[0] = float("nan")
    save(tmp_path / "compact.safetensors", checkpoint)
    with pytest.raises(ValueError, match="has weights that are no finite numbers in conv1; train it again"):
        encode(document(), tmp_path / "compact.safetensors", tiny.here(document(), folder), tmp_path / "a.bin", opened)


@pytest.mark.parametrize("bits", [0, 9, {"conv1": 0}, "five"])
def test_bits_out_of_range_are_refused(bits: Any) -> None:
    with pytest.raises(ValueError, match=r"encode\.bits"):
        read(document(bits=bits), "encode", Params)
