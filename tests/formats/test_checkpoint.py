"""Checkpoints: what was saved comes back, readable without this project, and damage is told with a cure."""

import functools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint, load, save
from lib.formats.plan import plan_text
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream
from tests.fuzzing.checkpoint_parts import parted, put
from tests.fuzzing.memory import bounded

SHAPE, MEAN, STD = (3, 8, 8), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
DEEP: list[Any] = functools.reduce(lambda inner, _: [inner], range(40), [])
KINDS = ("dense", "masked", "scatter", "coupled", "hidden", "both")


def _checkpoint(kind: str) -> Checkpoint:
    arguments = {"hidden": {"hidden": [12]}, "both": {"shortcut": "both"}}.get(kind, {})
    architecture = Architecture("resnet8", 10, 3, SHAPE[1:]).with_arguments(arguments)
    network = build(architecture, stream(0, "initialisation")).eval()
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


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(ValueError, match=r"a\.safetensors is missing or is not a whole checkpoint"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"header": '{"format": 2}'}])
def test_a_foreign_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "a.safetensors", metadata)
    with pytest.raises(ValueError, match=r"expected a checkpoint of format 3, got (None|2); make it with this version"):
        load(tmp_path / "a.safetensors")


def test_weights_that_do_not_fit_the_header_are_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    tensors, header = load_file(path), _header(path)
    tensors["classifier.weight"] = torch.zeros(9, 64)
    save_file(tensors, path, {"format": "3", "header": json.dumps(header)})
    with pytest.raises(
        ValueError, match=r"do not fit the network .*: classifier\.weight is F32 \(9, 64\) and not F32 \(10, 64\)"
    ):
        load(path)


HEADERS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {  # changes to header and architecture, reason
    "a large index": ({"masks": {"conv1": [0, 10**6]}}, {}, r"masks of conv1 must be .* from 0 to 15, got \[0, 1000000\]"),
    "a negative index": ({"masks": {"conv1": [-1]}}, {}, r"masks of conv1 must be .* got \[-1\]"),
    "an unknown layer": ({"masks": {"conv9": [0]}}, {}, "masks must name every layer .*; missing: none; unknown: conv9"),
    "masks of nothing": ({"masks": []}, {}, r"masks: Input should be a valid dictionary, got \[\]"),
    "classes": ({}, {"num_classes": 10**8}, "architecture.num_classes: .* less than or equal to 65536, got 100000000"),
    "other classes": (
        {},
        {"num_classes": 65536},
        r"classifier.weight is F32 \(10, 64\) and not F32 \(65536, 64\)",
    ),
    "hidden layers": ({"masks": None}, {"arguments": {"hidden": [65536] * 2}}, "do not fit .*: classifier.0.bias is missing"),
    "many hidden layers": ({}, {"arguments": {"hidden": [1] * 100_000}}, "arguments have more than 4096 characters"),
    "arguments of nobody": ({}, {"arguments": {"nonsense": 1}}, "resnet8 cannot be built with .*nonsense.*TypeError"),
    "an argument of a wrong type": ({}, {"arguments": {"shortcut": 3}}, "ValueError: shortcut must be .* got 3"),
    "an argument nested deep": ({}, {"arguments": {"hidden": DEEP}}, "is nested more than 32 deep"),
    "no arguments": ({}, {"arguments": [1]}, "architecture.arguments: Input should be a valid dictionary"),
    "code": ({}, {"name": "os:system"}, "a file asks for the builder os:system, which is code of somebody; nothing of it was"),
    "code of ours": ({}, {"name": "lib.atomic:write_text"}, "asks for the builder lib.atomic:write_text"),
    "a large network": (
        {},
        {"name": "torchvision:vit_h_14", "size": [224, 224]},
        "torchvision:vit_h_14|do not fit|masks must",
    ),
    "channels": ({}, {"in_channels": 4}, "the network reads 4 channels, its images have 3"),
    "a network": ({}, {"name": "resnet20"}, "masks must name every layer .*; missing: layer1.1.conv1"),
    "no network": ({}, {"name": "resnet9"}, "no network is called 'resnet9'; there are: resnet8, "),
    "no name": ({}, {"name": "\x1b[2J"}, r"architecture.name: String should match pattern .*, got '\\x1b\[2J'"),
    "kept filters": (
        {},
        {"kept": {"filters": {}, "mode": "coupled"}},
        "kept.filters must name every layer .*; missing: conv1",
    ),
    "kept filters of no mode": ({}, {"kept": {"filters": {}}}, "architecture.kept.mode: Field required"),
    "a key": ({"more": 1}, {}, "more: Extra inputs are not permitted, got 1"),
    "a format": ({"format": 4}, {}, "expected a checkpoint of format 3, got 4; make it with this version"),
    "a mean": ({"mean": [0.1]}, {}, "3 channels need as many means and deviations, got 1 and 3"),
    "no mean": ({"mean": [0.1, 0.2, float("nan")]}, {}, "its header holds NaN, which is no finite number"),
    "no deviation": ({"std": [0.1, 0.2, 0]}, {}, r"std\.2: Input should be greater"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_its_checksum_covers_but_no_network_has_is_refused(tmp_path: Path, name: str) -> None:
    parts = parted(_checkpoint("masked"), tmp_path / "a.safetensors")
    changes, sizes, reason = HEADERS[name]
    if isinstance(changes.get("masks"), dict):
        changes = {"masks": parts.header["masks"] | changes["masks"]}
    changed = parts._replace(header=parts.header | changes | {"architecture": parts.header["architecture"] | sizes})
    with pytest.raises(ValueError, match=rf"a\.safetensors is missing or is not a whole .*{reason}.*`dvc repro`") as refused:
        _read(changed.file(), tmp_path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("name", "kept", "reason"),
    [
        ("conv1", [0, 16], r"kept\.filters of conv1 must be .* from 0 to 15, got \[0, 16\]"),
        ("conv1", [3, 1], r"kept\.filters of conv1 must be .* got \[3, 1\]"),
        ("layer3.0.conv1", [-1, 0], r"kept\.filters of layer3\.0\.conv1 must be .* from 0 to 63, got \[-1, 0\]"),
        ("layer3.0.conv1", [], r"kept\.filters of layer3\.0\.conv1 must be .* got \[\]"),
        ("layer3", [0], r"kept\.filters must name every layer .*; missing: none; unknown: layer3"),
        ("layer3.0.conv1", [0], r"layer3\.0\.bn1\.bias is F32 \(32,\) and not F32 \(1,\)"),
    ],
)
def test_kept_filters_that_do_not_fit_are_refused(tmp_path: Path, name: str, kept: Any, reason: str) -> None:
    parts = parted(_checkpoint("coupled"), tmp_path / "a.safetensors")
    whole = parts.header["architecture"]["kept"]
    with pytest.raises(ValueError, match=reason):
        _read(parts.built(kept=whole | {"filters": whole["filters"] | {name: kept}}), tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("masks", None), ("mean", [0.1, 0.2, 0.25]), ("notes", {}), ("shape", [3, 9, 8])],
)
def test_a_header_that_its_checksum_does_not_cover_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    parts = parted(_checkpoint("masked"), tmp_path / "a.safetensors")
    changed = parts._replace(header=parts.header | {key: value})
    with pytest.raises(ValueError, match="its checksum is not that of its content"):
        _read(changed.file(sealed=False), tmp_path)
    _read(changed.file(), tmp_path)  # which says that nothing else is wrong with it


def test_masks_that_are_others_than_those_written_are_refused(tmp_path: Path) -> None:
    parts = parted(_checkpoint("masked"), tmp_path / "a.safetensors")
    masks = parts.header["masks"] | {"conv1": [0, 1]}
    with pytest.raises(ValueError, match="its checksum is not that of its content"):
        _read(parts._replace(header=parts.header | {"masks": masks}).file(sealed=False), tmp_path)


@pytest.mark.parametrize(
    "way", [lambda text: text.replace('"format": 3', '"format": 3, "format": 3'), lambda text: text + " x"]
)
def test_a_header_that_is_no_plain_json_is_refused(tmp_path: Path, way: Any) -> None:
    parts = parted(_checkpoint("dense"), tmp_path / "a.safetensors")
    with pytest.raises(
        ValueError, match=r"its header has an object of 9 keys, 8 of them different|its header is no JSON: Extra data"
    ):
        _read(parts.worded(way), tmp_path)


@pytest.mark.parametrize(
    ("ending", "change", "reason"),
    [
        ("conv1.weight", put(float("nan")), r"conv1\.weight holds NaN or infinite values; its training diverged"),
        ("classifier.bias", put(-float("inf")), r"classifier\.bias holds NaN or infinite values"),
        ("running_var", put(-1.0), r"running_var must not be negative, got -1"),
        ("classifier.bias", lambda tensor: tensor.to(torch.complex64), r"classifier\.bias is C64 \(10,\) and not F32 \(10,\)"),
        ("classifier.bias", lambda tensor: tensor.double(), r"classifier\.bias is F64 \(10,\) and not F32"),
        (
            "classifier.weight",
            lambda tensor: tensor.T.contiguous(),
            r"classifier\.weight is F32 \(64, 10\) and not",
        ),
    ],
)
def test_values_that_no_network_has_are_refused(tmp_path: Path, ending: str, change: Any, reason: str) -> None:
    parts = parted(_checkpoint("dense"), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=rf"a\.safetensors is missing or is not a whole checkpoint .*{reason}"):
        _read(parts.altered(random.Random(0), ending, change), tmp_path)


def test_one_changed_bit_of_a_weight_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    with pytest.raises(ValueError, match="its checksum is not that of its content"):
        _read(bytes(content), tmp_path)


def test_tensors_more_than_a_network_has_are_refused(tmp_path: Path) -> None:
    parts = parted(_checkpoint("dense"), tmp_path / "a.safetensors")
    for names in ("sparsity/conv1", "x\x1b[2J" * 1000):
        with pytest.raises(ValueError, match=r"the weights do not fit .* is unknown") as refused:
            _read(parts.holding({names: torch.ones(3)}), tmp_path)
        assert len(str(refused.value)) < 2000
        assert str(refused.value).isprintable()


def test_a_network_that_nobody_could_read_again_is_not_written(tmp_path: Path) -> None:
    broken = _checkpoint("dense")
    with torch.no_grad():
        broken.network.weight(broken.network.layers[1].name)[0] = float("nan")
    with pytest.raises(ValueError, match=r"layer1\.0\.conv1\.weight holds NaN .*lower the learning rate and train again"):
        save(tmp_path / "a", broken)
    with pytest.raises(ValueError, match="3 channels need as many means and deviations, got 3 and 1"):
        save(tmp_path / "a", replace(_checkpoint("dense"), std=(0.5,)))
    with pytest.raises(ValueError, match="its header holds NaN, which is no finite number"):
        save(tmp_path / "a", replace(_checkpoint("dense"), notes={"top1": float("nan")}))
    with pytest.raises(ValueError, match="masks must name every prunable layer"):
        save(tmp_path / "a", replace(_checkpoint("dense"), kept=Kept({})))
    assert not list(tmp_path.iterdir())


def test_reading_builds_no_more_than_the_file_holds(tmp_path: Path) -> None:
    parts = parted(_checkpoint("dense"), tmp_path / "a.safetensors")
    for sizes in ({"arguments": {"hidden": [65536] * 9}}, {"num_classes": 65536, "name": "resnet152"}):
        path = tmp_path / "b.safetensors"
        path.write_bytes(parts.built(**sizes))
        with bounded(path.stat().st_size), pytest.raises(ValueError, match="the weights do not fit"):
            load(path)


def test_a_loaded_network_stands_on_its_own_memory(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    loaded, again = load(path), load(path)
    assert all(parameter.requires_grad for parameter in loaded.network.parameters())
    with torch.no_grad():
        for parameter in loaded.network.parameters():
            parameter.fill_(7.0)
    path.write_bytes(bytes(path.stat().st_size))
    state = _checkpoint("masked").network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.network.state_dict().items())


def _read(content: bytes, folder: Path) -> None:
    (folder / "a.safetensors").write_bytes(content)
    load(folder / "a.safetensors")


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
    assert network.architecture.kept is not None
    assert plan["filters"] == {name: list(kept) for name, kept in network.architecture.kept}
    assert (plan["network"], plan["num_classes"], plan["compaction"]) == ("resnet8", 10, kind)
    assert len(plan["filters"]["conv1"]) == 8
