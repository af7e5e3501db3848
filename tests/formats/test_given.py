"""Weights that a network starts from: they arrive under their new names, or the file is refused in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lib.formats.checkpoint import Checkpoint, save
from lib.formats.given import start_
from lib.images.checksum import sha256_of
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.named import Rename, Weights
from lib.randomness import stream
from tests.networks_for_tests import images, lived_in

HALF = ((0.5,) * 3, (0.25,) * 3)


def begun(path: Path, rename: Rename = (), classes: int = 10) -> tuple[Network, str]:
    """A fresh resnet8 that starts from a file, and what is said of it."""
    network = build(Architecture("resnet8", classes, 3, (8, 8)), stream(9, "initialisation")).eval()
    given = Weights(str(path), sha256_of(path), None, rename, "grow", None, None)
    return network, start_(network, given, path.parent, HALF)


def saved(path: Path, **changes: Tensor) -> dict[str, Tensor]:
    state = {name: tensor.clone() for name, tensor in lived_in("resnet8").state_dict().items()} | changes
    save_file(state, path)
    return state


def test_weights_arrive_under_their_new_names(tmp_path: Path) -> None:
    state = lived_in("resnet8").state_dict()
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "given.pth")
    network, told = begun(tmp_path / "given.pth", ((r"^module\.", ""),))
    assert told == ""
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_a_classifier_of_other_classes_starts_fresh(tmp_path: Path) -> None:
    saved(tmp_path / "given.safetensors")
    network, told = begun(tmp_path / "given.safetensors", classes=4)
    assert told == "given.safetensors knows 10 classes, the data has 4: classifier starts fresh"
    assert torch.equal(network.weight("conv1"), lived_in("resnet8").weight("conv1"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"bn1.running_var": torch.full((16,), -1.0)}, r"bn1\.running_var holds NaN, infinite numbers or negative variances"),
        ({"bn1.bias": torch.full((16,), torch.nan)}, r"bn1\.bias holds NaN, infinite numbers or negative variances"),
        ({"bn1.bias": torch.full((16,), 1e300, dtype=torch.float64)}, r"bn1\.bias holds NaN, infinite"),  # not in float32
        ({"bn1.bias": torch.zeros(16, dtype=torch.complex64)}, r"of another shape or type: bn1\.bias\); correct `rename`"),
        ({"bn1.bias": torch.zeros(16, dtype=torch.int64)}, r"of another shape or type: bn1\.bias\); correct `rename`"),
        ({"bn1.bias": torch.zeros(15)}, r"of another shape or type: bn1\.bias\); correct `rename`"),
        ({"bn9.bias": torch.zeros(16)}, r"missing, unknown or of another shape or type: bn9\.bias\)"),
    ],
)
def test_what_no_network_has_is_refused_by_name(changes: dict[str, Tensor], complaint: str, tmp_path: Path) -> None:
    saved(tmp_path / "given.safetensors", **changes)
    with pytest.raises(ValueError, match=complaint):
        begun(tmp_path / "given.safetensors")


def test_two_weights_may_not_become_one(tmp_path: Path) -> None:
    """The second took the first one's place, in silence."""
    saved(tmp_path / "given.safetensors", **{"old.bn1.bias": torch.zeros(16)})
    with pytest.raises(ValueError, match=r"`rename` gives two weights the name bn1\.bias, "):
        begun(tmp_path / "given.safetensors", ((r"^old\.", ""),))


def test_a_file_without_weights_under_its_key_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "net": {}}, tmp_path / "given.pth")
    given: dict[str, Any] = {"source": str(tmp_path / "given.pth"), "sha256": sha256_of(tmp_path / "given.pth")}
    weights = Weights(**given, state="model", rename=(), zero_filters="grow", epochs=None, expected=None)
    with pytest.raises(ValueError, match="has no weights under 'model'; its keys: epoch, net; correct `state`"):
        start_(lived_in("resnet8"), weights, tmp_path, HALF)


@pytest.mark.parametrize(
    ("mean", "said"),
    [
        (0.5, ""),
        (0.503, ""),  # of other images of the same kind
        (
            0.4,
            "trained on images normalised by {mean: [0.4, 0.4, 0.4], std: [0.25, 0.25, 0.25]}, here it sees them by ",
        ),
    ],
)
def test_a_checkpoint_that_saw_images_otherwise_is_told(mean: float, said: str, tmp_path: Path) -> None:
    made = lived_in("resnet8")
    path = tmp_path / "dense.safetensors"
    save(path, Checkpoint(made, None, (3, 8, 8), (mean,) * 3, (0.25,) * 3, {}))
    network, told = begun(path)
    assert said in told
    assert bool(said) == bool(told)
    assert torch.equal(network(batch := images(made, 2)), made(batch))
