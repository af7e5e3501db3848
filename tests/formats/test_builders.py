"""Networks of libraries and of the user's own code in files: a new process reads them, and strangers' code is not run."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint, load, save
from lib.formats.packed import pack, unpack
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.networks.network import Network
from lib.randomness import stream
from tests import tiny
from tests.fuzzing.checkpoint_parts import Parts, parted
from tests.fuzzing.memory import bounded
from tests.networks_for_tests import coupled_masks, live_, random_masks

READ = """
import sys
from pathlib import Path
import torch
from lib.formats.packed import opened
folder, threads = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
images = torch.load(folder / "images")
with torch.no_grad():
    torch.save({name: opened(folder / name).network(images) for name in sys.argv[3:]}, folder / "logits")
"""


def checkpoint(network: Network, side: int) -> Checkpoint:
    return Checkpoint(network, None, (3, side, side), (0.1, 0.2, 0.3), (0.25,) * 3, {"epochs": 3})


def lived_in(name: str, side: int, **arguments: Any) -> Network:
    architecture = Architecture(name, 10, 3, (side, side)).with_arguments(arguments)
    network = build(architecture, stream(0, "initialisation")).eval()
    live_(network, stream(0, "statistics"))
    return network


def small(network: Network, mode: Any) -> Network:
    masks = random_masks(network) if mode == "scatter" else coupled_masks(network, 0.4)
    apply_(network, Kept(masks))
    return compact(network, Kept(masks), mode)


def test_a_compact_network_of_torchvision_is_rebuilt_in_a_fresh_process(tmp_path: Path) -> None:
    images, expected = torch.randn(2, 3, 64, 64, generator=stream(0, "images")), {}
    for mode in ("scatter", "coupled"):
        network = small(lived_in("torchvision:mobilenet_v2", 64), mode)
        save(tmp_path / f"{mode}.safetensors", checkpoint(network, 64))
        (tmp_path / f"{mode}.bin").write_bytes(pack(checkpoint(network, 64), "ans").content)
        with torch.no_grad():
            expected |= dict.fromkeys((f"{mode}.safetensors", f"{mode}.bin"), network(images))
    torch.save(images, tmp_path / "images")
    words = [sys.executable, "-c", READ, str(tmp_path), str(torch.get_num_threads()), *expected]
    done = subprocess.run(words, cwd=tiny.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "logits")
    assert len(found) == 4
    for name, logits in expected.items():
        assert logits.std() > 0
        assert torch.equal(found[name], logits), name
    assert not torch.equal(found["scatter.bin"], found["coupled.bin"])


def test_what_no_file_holds_is_computed_as_the_builder_does(tmp_path: Path) -> None:
    """Its attention looks up relative positions in tables that are no part of its state."""
    pytest.importorskip("timm")
    network = lived_in("timm:test_vit_relpos", 160, class_token=False, global_pool="avg")
    images = torch.randn(2, 3, 160, 160, generator=stream(0, "images"))
    assert {name for name, _ in network.named_buffers()} - network.state_dict().keys()
    save(tmp_path / "a.safetensors", checkpoint(network, 160))
    with torch.no_grad():
        for found in (load(tmp_path / "a.safetensors"), unpack(pack(checkpoint(network, 160), "ans").content)):
            assert torch.equal(found.network(images), network(images))


class Stacked(nn.Module):
    """Parts are called as a `Network` calls what it says of them; and a mask of bool."""

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_channels, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.filters = nn.Linear(width, num_classes)
        self.register_buffer("mask", torch.ones(num_classes, dtype=torch.bool))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, num_classes)."""
        logits: torch.Tensor = self.filters(self.layers(images).mean((2, 3))) * self.mask
        return logits


OWN = f"{__name__}:Stacked"


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_a_network_of_the_users_own_comes_back(tmp_path: Path, mode: Any) -> None:
    allow([OWN])
    images = torch.randn(2, 3, 8, 8, generator=stream(0, "images"))
    network = small(lived_in(OWN, 8, width=8), mode)
    assert network.get_submodule("layers.0").weight.shape[0] < 8  # type: ignore[union-attr, index]
    save(tmp_path / "a.safetensors", checkpoint(network, 8))
    with torch.no_grad():
        for found in (load(tmp_path / "a.safetensors"), unpack(pack(checkpoint(network, 8), "ans").content)):
            assert found.network.architecture == network.architecture
            assert torch.equal(found.network(images), network(images))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return parted(checkpoint(lived_in("resnet8", 8), 8), tmp_path_factory.mktemp("parts") / "whole")


def _refused(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with bounded(len(content)), pytest.raises(ValueError, match=path.name) as refused:
        load(path)
    assert str(refused.value).isprintable()
    return str(refused.value)


@pytest.mark.parametrize("name", ["this:d", "this.that:other", "lib.atomic:write_text", "os:system"])
def test_code_that_a_file_names_is_not_even_imported(parts: Parts, name: str, tmp_path: Path) -> None:
    said = _refused(parts.built(name=name, arguments={"path": str(tmp_path / "x"), "command": "true"}), tmp_path / "a")
    assert f"a file asks for the builder {name}, which is code of somebody; nothing of it was run" in said
    assert "this" not in sys.modules
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("name", "argument"),
    [("torchvision:resnet18", "weights"), ("timm:resnet18", "pretrained"), ("timm:resnet18", "checkpoint_path")],
)
def test_a_file_cannot_have_weights_loaded(parts: Parts, name: str, argument: str, tmp_path: Path) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    said = _refused(parts.built(name=name, arguments={argument: "x"}), tmp_path / "a")
    assert f"{argument} would load weights" in said


@pytest.mark.parametrize("kept", [None, {"filters": {}, "mode": "scatter"}])
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("torchvision:vit_h_14", {}, "do not fit|must name every layer"),
        ("torchvision:regnet_y_128gf", {}, "do not fit|must name every layer"),  # it cannot be built on device meta
        ("torchvision:regnet_y_400mf", {"stem_width": 10**9}, "channels, which its file cannot hold"),
        ("mobilenet_v2", {"width_mult": 1e9}, "channels, which its file cannot hold"),
        ("mobilenet_v2", {"inverted_residual_setting": [[1, 16, 10**9, 1]]}, "4,[0-9]{3} parts or .* its file cannot hold"),
        ("mobilenet_v2", {"norm_layer": "os.system"}, "TypeError: 'str' object is not callable"),
        ("torchvision:resnet18", {"groups": 0}, "cannot be built with"),
    ],
)
def test_a_small_file_does_not_make_a_large_network(
    parts: Parts, name: str, arguments: Any, said: str, kept: Any, tmp_path: Path
) -> None:
    content = parts.built(name=name, arguments=arguments, size=[224, 224], kept=kept)
    message = _refused(content, tmp_path / "a")
    assert re.search(said, message), message


@pytest.mark.parametrize("name", ["resnet8", "torchvision:swin_t", "torchvision:shufflenet_v2_x1_0"])
def test_large_images_take_no_memory(parts: Parts, name: str, tmp_path: Path) -> None:
    content = parts.built(name=name, size=[8192, 8192], kept={"filters": {}, "mode": "scatter"})
    assert "must name every layer of the network" in _refused(content, tmp_path / "a")
