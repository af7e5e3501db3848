import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.compaction.compact import compact
from lib.cost.macs import count
from lib.formats.foreign import Description, read
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.description import Architecture
from lib.params.section import parse
from lib.params.section import read as read_section
from tests.networks_for_tests import random_masks
from tests.tiny import ROOT

DESCRIPTION = read_section({"d": parse((ROOT / "suites/foreign-ahsg-ht-resnet20.yaml").read_text())}, "d", Description)
CHECKPOINT = os.environ.get("FOREIGN_CHECKPOINT")


def foreign_name(name: str) -> str:
    """Our name of a tensor as that repository called it."""
    first, _, rest = name.partition(".")
    if first == "classifier":
        return f"classifier{int(rest[0]) + 1}{rest[1:]}"
    if first.startswith("layer"):
        for ours, theirs in ((".conv1.", ".conv_a."), (".bn1.", ".bn_a."), (".conv2.", ".conv_b."), (".bn2.", ".bn_b.")):
            rest = rest.replace(ours, theirs)
        return f"stage_{first[-1]}.{rest}"
    return f"{ {'conv1': 'conv_1_3x3', 'bn1': 'bn_1'}[first] }.{rest}".replace(" ", "")


def foreign_file(path: Path, **changes: Any) -> tuple[Path, Any]:
    network = build(Architecture("resnet20", 10, 3, (20,)), torch.Generator().manual_seed(0)).eval()
    apply_(network, Kept(random_masks(network)))
    state = {foreign_name(name): tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state | changes}, path)
    return path, network


def test_foreign_names_are_mapped_and_masks_are_read_from_zeros(tmp_path: Path) -> None:
    path, original = foreign_file(tmp_path / "foreign.pth")
    found = read(path, DESCRIPTION)
    batch = torch.randn(2, 3, 32, 32)
    assert torch.equal(found.network(batch), original(batch))
    assert found.kept is not None
    expected = random_masks(original)
    assert all(torch.equal(mask, expected[name]) for name, mask in found.kept.filters.items())


class Malicious:
    """What a foreign pickle could do when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_foreign_file_is_refused_and_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"state_dict": Malicious(tmp_path / "executed")}, path)
    with pytest.raises(ValueError, match="damaged or holds code"):
        read(path, DESCRIPTION)
    assert not (tmp_path / "executed").exists()
    with path.open("wb") as file:
        pickle.dump(Malicious(tmp_path / "executed"), file, protocol=2)
    with pytest.raises(ValueError, match="damaged or holds code"):
        read(path, DESCRIPTION)
    assert not (tmp_path / "executed").exists()


def test_truncated_and_missing_files_are_refused(tmp_path: Path) -> None:
    path, _ = foreign_file(tmp_path / "foreign.pth")
    path.write_bytes(path.read_bytes()[:1000])
    for broken in (path, tmp_path / "nowhere.pth"):
        with pytest.raises(ValueError, match="cannot be read as plain tensors"):
            read(broken, DESCRIPTION)


def test_names_that_do_not_fit_are_told_with_the_cure(tmp_path: Path) -> None:
    path, _ = foreign_file(tmp_path / "foreign.pth", surprise=torch.zeros(1))
    with pytest.raises(ValueError, match=r"(?s)surprise.*correct `rename`, `hidden` or `network`"):
        read(path, DESCRIPTION)


@pytest.mark.parametrize("content", [{"weights": {}}, [1, 2], torch.zeros(2)])
def test_file_without_weights_where_they_should_be_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "foreign.pth")
    with pytest.raises(ValueError, match="has no weights under 'state_dict'"):
        read(tmp_path / "foreign.pth", DESCRIPTION)


@pytest.mark.skipif(CHECKPOINT is None, reason="FOREIGN_CHECKPOINT does not name ahsg_ht_resnet20_cifar10.pth.tar")
def test_published_network_has_the_cost_of_its_kept_widths() -> None:
    found = read(Path(str(CHECKPOINT)), DESCRIPTION)
    assert found.kept is not None
    assert {len(mask): int((~mask).sum()) for mask in found.kept.filters.values()} == {16: 5, 32: 10, 64: 20}
    apply_(found.network, found.kept)
    cost = count(compact(found.network, found.kept, "scatter"), (3, 32, 32))
    assert (cost.params, cost.total_macs) == (155_312, 23_317_960)
