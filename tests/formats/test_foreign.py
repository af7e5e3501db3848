import json
import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lib.compaction.compact import compact
from lib.compaction.proof import FLOAT64_LIMIT, check_zeros, gap
from lib.cost.macs import count
from lib.formats.foreign import describe, read
from lib.images.fetching import sha256_of
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.params.section import parse
from lib.steps.specimen import level_
from tests.networks_for_tests import alive, coupled_masks, images, lived_in, random_masks
from tests.small_networks import STRIDE_FIRST
from tests.tiny import ROOT

TEXT = (ROOT / "suites/foreign-ahsg-ht-resnet20.yaml").read_text()
DESCRIPTION = describe(ROOT / "suites/foreign-ahsg-ht-resnet20.yaml")
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


def foreign_file(path: Path, **changes: object) -> tuple[Path, Any]:
    network = build(Architecture("resnet20", 10, 3).with_arguments({"hidden": [20]}), torch.Generator().manual_seed(0)).eval()
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


def test_names_that_do_not_fit_are_told_with_the_cure(tmp_path: Path) -> None:
    path, _ = foreign_file(tmp_path / "foreign.pth", surprise=torch.zeros(1))
    with pytest.raises(ValueError, match=r"unknown: surprise; correct `rename`, `arguments` or `network`$"):
        read(path, DESCRIPTION)
    with pytest.raises(ValueError, match=r"missing: conv1\.weight, .* and 1 more; unknown: conv_1_3x3\.weight, "):
        read(path, replace(DESCRIPTION, rename=(*DESCRIPTION.rename[2:],)))
    with pytest.raises(ValueError, match=r"classifier\.0\.weight \(\(20, 64\) instead of \(30, 64\)\)"):
        read(foreign_file(path)[0], replace(DESCRIPTION, arguments={"hidden": [30]}))
    with pytest.raises(ValueError, match=r"another shape or type: conv1\.weight \(\(16, 3, 3, 3\) instead of"):
        read(foreign_file(path, **{"conv_1_3x3.weight": torch.zeros(16, 3, 3, 3, dtype=torch.int8)})[0], DESCRIPTION)


def test_hostile_names_are_shown_short_and_plain(tmp_path: Path) -> None:
    path, _ = foreign_file(tmp_path / "foreign.pth", **{"\x1b[2Jx" + "y" * 10_000: torch.zeros(1)})
    with pytest.raises(ValueError, match=r"unknown: \?\[2Jxy+…; correct") as told:
        read(path, DESCRIPTION)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        (5, torch.zeros(1), "a weight whose name is a int, not text"),
        ("epoch", 3, "epoch is no plain tensor"),
        ("sparse", torch.zeros(3).to_sparse(), "sparse is no plain tensor"),
    ],
)
def test_what_is_no_weight_is_refused_by_name(key: Any, value: Any, complaint: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {key: value}}, tmp_path / "foreign.pth")
    with pytest.raises(ValueError, match=complaint):
        read(tmp_path / "foreign.pth", DESCRIPTION)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classifier1.bias", torch.full((20,), float("nan"))),
        ("bn_1.bias", torch.full((16,), float("inf"))),
        ("bn_1.bias", torch.full((16,), 1e300, dtype=torch.float64)),  # finite there, not in float32
        ("bn_1.running_var", torch.full((16,), -1.0)),
    ],
)
def test_numbers_that_no_network_has_are_refused(name: str, value: torch.Tensor, tmp_path: Path) -> None:
    path, _ = foreign_file(tmp_path / "foreign.pth", **{name: value})
    with pytest.raises(ValueError, match="holds NaN, infinite numbers or negative variances"):
        read(path, DESCRIPTION)


@pytest.mark.parametrize("content", [{"weights": {}}, [1, 2], torch.zeros(2), {"state_dict": 3}, {torch.zeros(1): 2}])
def test_file_without_weights_where_they_should_be_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "foreign.pth")
    with pytest.raises(ValueError, match="has no weights under 'state_dict'; its keys: "):
        read(tmp_path / "foreign.pth", DESCRIPTION)


def test_two_weights_may_not_become_one(tmp_path: Path) -> None:
    path, _ = foreign_file(tmp_path / "foreign.pth")
    with pytest.raises(ValueError, match=r"`rename` gives two weights the name x, bn_1\.weight is the second"):
        read(path, replace(DESCRIPTION, rename=((".*weight", "x"),)))


def test_another_file_than_described_is_refused(tmp_path: Path) -> None:
    path, _ = foreign_file(tmp_path / "foreign.pth")
    right = sha256_of(path)
    assert read(path, replace(DESCRIPTION, sha256=right)).notes == {"foreign": "foreign.pth"}
    with pytest.raises(ValueError, match=f"has sha256 {right}, the description says {'0' * 64}: it is another file"):
        read(path, replace(DESCRIPTION, sha256="0" * 64))


def test_safetensors_files_are_read(tmp_path: Path) -> None:
    path, original = foreign_file(tmp_path / "foreign.pth")
    save_file(torch.load(path)["state_dict"], tmp_path / "foreign.safetensors")
    found = read(tmp_path / "foreign.safetensors", replace(DESCRIPTION, state=None))
    batch = torch.randn(2, 3, 32, 32)
    assert torch.equal(found.network(batch), original(batch))


def test_vgg_without_batch_norm_is_told_from_the_one_with_it(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "vgg16.pth")
    with pytest.raises(
        ValueError, match=r"has no batch norm .*vgg16 here has some; a vgg16 of .* is vgg16_plain here, .* vgg16_bn is vgg16$"
    ):
        read(tmp_path / "vgg16.pth", replace(DESCRIPTION, network="vgg16", arguments={}, state=None))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("rename", [["^conv(", ""]], r"rename\.0: .*no regular expression with its replacement: missing \)"),
        ("rename", [["^a", ""], ["a", r"\2"]], r"rename\.1: .*invalid group reference 2"),
        ("rename", [["(a)", r"\g<x>"]], r"rename\.0: .*unknown group name"),
        ("rename", [["a{99999999999}", ""]], r"rename\.0: .*the repetition number is too large"),
        ("arguments", [10**9], r"arguments: "),
        ("hidden", [20], r"hidden: is unknown"),
        ("num_classes", 10**8, "num_classes: .*65536"),
        ("shape", [10**9, 8, 8], r"shape\.0: .*65536"),
        ("mean", [0.5], r"mean and std need a number for each of 3 channels, got 1 and 3"),
        ("std", [0.5, 0.0, 0.5], r"std\.1: is 0.0; input should be greater than 0"),
        ("sha256", "12", "sha256: "),
        ("network", "../a", "network: "),
        ("network", "a:b:c", "network: "),
        ("expected", {"top1": 101.0, "split": "test"}, r"expected\.top1: is 101"),
        ("expected", {"top1": 91.0, "split": "nowhere"}, r"expected\.split: is 'nowhere'"),
    ],
)
def test_descriptions_that_cannot_be_are_refused_naming_file_and_key(
    key: str, value: object, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.yaml"
    path.write_text(json.dumps(parse(TEXT) | {key: value}))
    with pytest.raises(ValueError, match=rf"^{path}: description.*{complaint}"):
        describe(path)


def test_wide_layers_are_not_built_before_the_file_is_known_to_hold_them(tmp_path: Path) -> None:
    """65,536 x 65,536 numbers would be 17 GB."""
    path, _ = foreign_file(tmp_path / "foreign.pth")
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        with pytest.raises(ValueError, match=r"classifier\.1\.weight \(\(10, 20\) instead of \(65536, 65536\)\)"):
            read(path, replace(DESCRIPTION, arguments={"hidden": [65536, 65536]}))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, resource.getrlimit(resource.RLIMIT_AS)[1]))


def test_shifts_of_zero_filters_that_stay_constant_refuse_the_import(tmp_path: Path) -> None:
    """SFP zeroes weights and leaves batch norms alone: without the channels most predictions would differ."""
    path, network = foreign_file(tmp_path / "foreign.pth")
    dropped = int((~random_masks(network)["layer1.0.conv1"]).nonzero()[0])
    state = torch.load(path)["state_dict"]
    state["stage_1.0.bn_a.bias"][dropped] = 0.7
    torch.save({"state_dict": state}, path)
    with pytest.raises(ValueError, match=r"foreign\.pth: filters are zero, .*: layer1\.0\.bn1 \(1\); without these channels"):
        read(path, DESCRIPTION)
    state["stage_1.0.bn_a.bias"][dropped] = -0.7  # the ReLU behind it makes it zero
    torch.save({"state_dict": state}, path)
    found, batch = read(path, DESCRIPTION), torch.randn(2, 3, 32, 32)
    assert torch.equal(found.network(batch), network.double().float()(batch))
    assert found.kept is not None
    check_zeros(found.network, found.kept, path)


def test_akamaster_names_fit_and_only_the_placement_of_zeros_tells_the_two_networks_apart(tmp_path: Path) -> None:
    """A made-up network of that repository: everything fits both ways, and one of them computes something else."""
    theirs = lived_in("resnet20", shortcut="both")
    state = {f"module.{name.replace('classifier', 'linear')}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"state_dict": state, "best_prec1": 91.78}, tmp_path / "a.th")
    described = replace(describe(ROOT / "suites/foreign-akamaster-resnet20.yaml"), sha256=None)
    batch = torch.randn(2, 3, 32, 32)
    assert torch.equal(read(tmp_path / "a.th", described).network(batch), theirs(batch))
    assert not torch.allclose(
        read(tmp_path / "a.th", replace(described, arguments={"shortcut": "end"})).network(batch), theirs(batch)
    )


def test_a_resnet50_of_the_users_own_with_its_strides_elsewhere_is_imported_and_made_small(tmp_path: Path) -> None:
    size = (64, 64)
    theirs = alive(Architecture(STRIDE_FIRST, 10, 3, size))
    torch.save(theirs.state_dict(), tmp_path / "r50.pth")
    described = replace(
        describe(ROOT / "suites/foreign-akamaster-resnet20.yaml"),
        **{
            "network": theirs.architecture.name,
            "arguments": {},
            "shape": (3, *size),
            "sha256": None,
            "state": None,
            "rename": (),
        },
        expected=None,
    )
    network = read(tmp_path / "r50.pth", described).network.double()
    batch = images(network, 2, dtype=torch.float64)
    elsewhere = read(tmp_path / "r50.pth", replace(described, network="resnet50")).network.double()
    with torch.no_grad():
        assert torch.equal(network(batch), theirs.double()(batch))
        assert not torch.allclose(elsewhere(batch), network(batch))
        masks = coupled_masks(network, 0.5)
        apply_(network, Kept(masks))
        expected = level_(network, batch)
        assert gap(expected, compact(network, Kept(masks), "coupled")(batch)).relative < FLOAT64_LIMIT
    assert float(expected.std(0).max()) > 1e-3


@pytest.mark.skipif(CHECKPOINT is None, reason="FOREIGN_CHECKPOINT does not name ahsg_ht_resnet20_cifar10.pth.tar")
def test_published_network_has_the_cost_of_its_kept_widths() -> None:
    found = read(Path(str(CHECKPOINT)), DESCRIPTION)
    assert found.kept is not None
    assert {len(mask): int((~mask).sum()) for mask in found.kept.filters.values()} == {16: 5, 32: 10, 64: 20}
    apply_(found.network, found.kept)
    cost = count(compact(found.network, found.kept, "scatter"), (3, 32, 32))
    assert (cost.params, cost.total_macs) == (155_312, 23_317_960)
