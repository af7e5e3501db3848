"""Checkpoints: what was saved comes back, readable without this project, and damage is told with a cure."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint, load, plan_text, save
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.description import Architecture, Placement
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream

SHAPE, MEAN, STD = (3, 8, 8), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
KINDS = ("dense", "masked", "scatter", "coupled", "hidden", "both")


def _checkpoint(kind: str) -> Checkpoint:
    hidden = (12,) if kind == "hidden" else ()
    shortcut: Placement = "both" if kind == "both" else "end"
    network = build(Architecture("resnet8", 10, 3, hidden, shortcut=shortcut), stream(0, "initialisation")).eval()
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.add_(0.25)
    notes = {"epochs": 3, "validation_top1": 12.5, "trained_on": {"device": "cpu"}}
    if kind in ("dense", "hidden", "both"):
        return Checkpoint(network, None, SHAPE, MEAN, STD, notes)
    masks = Selection(network, 0.5, coupled=True).choose(uniform(network.filters(), stream(0, "masks")))
    apply_(network, Kept(masks))
    if kind == "masked":
        return Checkpoint(network, Kept(masks), SHAPE, MEAN, STD, notes)
    return Checkpoint(compact(network, Kept(masks), kind), None, SHAPE, MEAN, STD, notes)  # type: ignore[arg-type]


def _saved(folder: Path, kind: str = "masked") -> Path:
    save(folder / "a.safetensors", _checkpoint(kind))
    return folder / "a.safetensors"


def _header(path: Path) -> Any:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["header"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_comes_back(tmp_path: Path, kind: str) -> None:
    saved, found = _checkpoint(kind), load(_saved(tmp_path, kind))
    assert replace(found, network=saved.network, kept=None) == replace(saved, kept=None)
    assert found.network.architecture == saved.network.architecture
    assert not found.network.training
    state = saved.network.state_dict()
    assert state.keys() == found.network.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in found.network.state_dict().items())
    assert (found.kept is None) == (saved.kept is None)
    if saved.kept is not None and found.kept is not None:
        assert all(torch.equal(mask, found.kept.filters[name]) for name, mask in saved.kept.filters.items())
    images = torch.randn(2, *SHAPE, generator=stream(0, "images"))
    assert torch.equal(saved.network(images), found.network(images))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_network_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    first = _saved(tmp_path, kind).read_bytes()
    assert _saved(tmp_path, kind).read_bytes() == first
    save(tmp_path / "again.safetensors", load(tmp_path / "a.safetensors"))
    assert (tmp_path / "again.safetensors").read_bytes() == first


def test_the_file_opens_with_safetensors_alone_and_its_header_is_json(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    tensors, header = load_file(path), _header(path)
    assert torch.equal(tensors["conv1.weight"], _checkpoint("masked").network.state_dict()["conv1.weight"])
    assert header["architecture"]["name"] == "resnet8"
    assert header["masks"]["conv1"] == tensors["conv1.weight"].flatten(1).ne(0).any(1).nonzero().flatten().tolist()
    assert header["notes"]["validation_top1"] == 12.5
    assert (header["mean"], header["std"], header["shape"]) == (list(MEAN), list(STD), list(SHAPE))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_says_which_stage_makes_it(tmp_path: Path, share: float) -> None:
    path = _saved(tmp_path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"a.safetensors is missing or is not a whole checkpoint .*`dvc repro`"):
        load(path)


def test_a_missing_checkpoint_says_which_stage_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone.safetensors is missing .*run the stage that writes it \(`dvc repro`\)"):
        load(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"header": '{"format": 2}'}])
def test_a_foreign_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "a.safetensors", metadata)
    with pytest.raises(ValueError, match=r"expected a checkpoint of format 1, got (None|2); make it with this version"):
        load(tmp_path / "a.safetensors")


def test_weights_that_do_not_fit_the_header_are_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    tensors, header = load_file(path), _header(path)
    tensors["classifier.weight"] = torch.zeros(9, 64)
    save_file(tensors, path, {"header": json.dumps(header)})
    with pytest.raises(ValueError, match="do not fit the network its header describes; make the file again"):
        load(path)


def test_a_failed_save_leaves_the_checkpoint_that_was_there(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    before = path.read_bytes()
    broken = replace(_checkpoint("dense"), notes={"epochs": object()})
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(path, broken)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["scatter", "coupled"])
def test_the_plan_reads_as_json_and_tells_what_is_kept(kind: str) -> None:
    network = _checkpoint(kind).network
    plan = json.loads(plan_text(network))
    assert network.architecture.plan is not None
    assert plan["filters"] == {name: list(kept) for name, kept in network.architecture.plan.filters.items()}
    assert plan["spaces"] == {name: list(kept) for name, kept in network.architecture.plan.spaces.items()}
    assert (plan["network"], plan["num_classes"]) == ("resnet8", 10)
    assert len(plan["filters"]["conv1"]) == 8
