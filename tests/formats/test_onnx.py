"""ONNX files: the same function for any number of images, in integers nearly so."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint
from lib.formats.onnx import Agreement, Session, agreement, evenly, export, top1, uneven, verify
from lib.masks.kept import Kept, apply_
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.quantization.integers import to_int8
from lib.steps.specimen import level_
from tests import tiny
from tests.networks_for_tests import alive, coupled_masks, images, lived_in, random_masks, side
from tests.small_networks import NAMES
from tests.tiers import slow_but


def small(name: str, mode: Any) -> Network:
    network = lived_in(name)
    masks = random_masks(network) if mode == "scatter" else coupled_masks(network, 0.5)
    apply_(network, Kept(masks))
    return compact(network, Kept(masks), mode)


def checkpoint(network: Network) -> Checkpoint:
    size = side(network.architecture.name)
    return Checkpoint(network, None, (3, size, size), (0.1, 0.2, 0.3), (0.25,) * 3)


@pytest.mark.filterwarnings("default")  # the exporter's own
@pytest.mark.grid
@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize("name", ["resnet8", "vgg16", "resnet18"])
def test_the_file_computes_the_same_for_any_batch_size(tmp_path: Path, name: str, mode: Any) -> None:
    network = small(name, mode)
    found = export(checkpoint(network), images(network, 20), tmp_path / "a.onnx")
    assert found.images == 20
    again = agreement(network, Session(tmp_path / "a.onnx"), [images(network, 11)])
    for one in (found, again):
        assert one.max_abs < 1e-4
        assert one.changed == 0
    model = onnx.load(tmp_path / "a.onnx")
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    known = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert known == {"shape": list(checkpoint(network).shape), "mean": [0.1, 0.2, 0.3], "std": [0.25] * 3}
    assert str(tiny.ROOT).encode() not in (tmp_path / "a.onnx").read_bytes()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("name", "mode"),
    slow_but(
        ["densenet", "shufflenet"],
        [
            ("plain", "scatter"),
            ("densenet", "coupled"),
            ("mobilenet", "coupled"),
            ("shufflenet", "scatter"),
            ("regnet", "coupled"),
        ],
    ),
)
def test_any_compact_network_exports_and_learns(tmp_path: Path, name: str, mode: Any) -> None:
    network = alive(Architecture(NAMES[name], 10, 3))
    masks = random_masks(network) if mode == "scatter" else coupled_masks(network, 0.5)
    apply_(network, Kept(masks))
    batch = images(network, 9)
    level_(network, batch)
    made = compact(network, Kept(masks), mode)
    found = export(Checkpoint(made, None, (3, 32, 32), (0.1, 0.2, 0.3), (0.25,) * 3), batch, tmp_path / "a.onnx")
    assert found.max_abs < 1e-4
    program = torch.export.export(made.module, (batch,))
    assert torch.allclose(program.module()(batch), made(batch), atol=1e-5)
    loss = torch.nn.functional.cross_entropy(made.train()(batch), torch.arange(9))
    loss.backward()
    assert all(parameter.grad is not None for parameter in made.parameters())


@pytest.mark.filterwarnings("default")
def test_integers_are_symmetric_per_output_channel_and_near(tmp_path: Path) -> None:
    network = small("resnet8", "scatter")
    export(checkpoint(network), images(network, 4), tmp_path / "a.onnx")
    to_int8(tmp_path / "a.onnx", [images(network, 16, seed) for seed in range(8)], tmp_path / "b.onnx")
    model = onnx.load(tmp_path / "b.onnx")
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    scaled = {node.input[0]: node.input[1:] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    weights = {name: constants[name] for name in scaled if name in constants and constants[name].ndim == 4}
    assert len(weights) == sum(layer.kind == "conv" for layer in network.layers)
    for name, weight in weights.items():
        scale, zero = (constants[part] for part in scaled[name])
        assert weight.dtype == np.int8
        assert scale.shape == (len(weight),)
        assert not zero.any()
    inputs = images(network, 64, seed=99)
    with torch.no_grad():
        logits = network(inputs)
    gap = (Session(tmp_path / "b.onnx")(inputs) - logits).abs().mean()
    assert 0 < gap < 0.1 * logits.std()
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx", "b.onnx"}


@pytest.mark.parametrize(
    "found", [Agreement(2e-4, 2e-4, 0, 9), Agreement(2e-4, 2e-4, 1, 9), Agreement(math.inf, math.inf, 0, 9)]
)
def test_a_file_that_differs_is_refused(found: Agreement) -> None:
    with pytest.raises(ValueError, match=r"is not equal to the network: .* of 9 predicted classes changed"):
        verify(found)


@pytest.mark.filterwarnings("default")
def test_nothing_is_left_of_a_file_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small("resnet8", "scatter")
    monkeypatch.setattr(Session, "__call__", lambda _, inputs: torch.zeros(len(inputs), 10))
    with pytest.raises(ValueError, match="the ONNX file is not equal to the network"):
        export(checkpoint(network), images(network, 4), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_difference_in_any_image_is_found() -> None:
    network = small("resnet8", "scatter")

    def off(inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits = network(inputs)
        logits[-1] = float("nan") if len(inputs) == 1 else -logits[-1]
        return logits

    found = agreement(network, off, uneven(images(network, 7)))  # type: ignore[arg-type]
    assert found.max_abs == float("inf")
    assert found.changed >= 2
    assert found.images == 7


def test_images_are_spread_over_the_split_and_the_score_is_that_of_the_labels(tmp_path: Path) -> None:
    tiny.digits(tmp_path)
    here = tiny.here(tiny.document(), tmp_path)
    data, network = here.dataset, lived_in("resnet8", in_channels=1)
    labels = data.splits["test"].labels
    known = Checkpoint(network, None, here.dataset.shape, here.dataset.mean, here.dataset.std)
    for count in (100, 200):
        few = evenly(data, "test", count, known)
        assert torch.equal(few.labels, labels[[index * len(labels) // count for index in range(count)]])
    assert len(evenly(data, "test", None, known)) == len(evenly(data, "test", 10**6, known)) == len(labels)
    with pytest.raises(ValueError, match=r"^the network is for images of 1x9x9 in 10 classes, digits has images of 1x8x8"):
        evenly(data, "test", None, replace(known, shape=(1, 9, 9)))
    with torch.no_grad():
        right = sum(int((network(inputs).argmax(1) == labels).sum()) for inputs, labels in few.plain(32))
        assert top1(network, few.plain(64)) == 100 * right / 200  # type: ignore[arg-type]


def test_the_limit_is_relative_to_large_logits() -> None:
    verify(Agreement(5e-3, 5e-5, 0, 9))


def test_two_equal_logits_may_fall_either_way() -> None:
    verify(Agreement(1e-6, 1e-6, 1, 9))
