"""Networks of a user's that are right and unusual pass every step that once failed on them."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.compaction.compact import compact
from lib.compaction.constants import silence_
from lib.compaction.proof import FLOAT64_LIMIT, gap
from lib.compaction.shipping import ship
from lib.cost.macs import count
from lib.distillation.classifier import share_classifier_
from lib.distillation.terms import feature
from lib.formats import onnx
from lib.formats.checkpoint import Checkpoint, load, save
from lib.formats.foreign import read
from lib.formats.given import _is_checkpoint
from lib.formats.packed import pack
from lib.masks.filters import from_zeros
from lib.masks.kept import Kept, apply_
from lib.masks.weights import weights, zero_share
from lib.networks import build
from lib.networks.architecture import Mode
from lib.networks.network import Network
from lib.networks.placing import masked
from lib.pruning.layers import EVERYWHERE
from lib.pruning.methods import merge
from lib.pruning.methods.kdfs import Search
from lib.pruning.selection import Selection
from lib.quantization.sharing import share_, sum_gradients
from lib.randomness import stream
from lib.steps.rehearse import View
from lib.steps.specimen import alive, images_for
from lib.training.taps import Outputs
from tests import tiny
from tests.formats.test_foreign import DESCRIPTION
from tests.networks_for_tests import images, random_masks
from tests.odd_networks import (
    ATTENDING,
    BATCH_NORMS,
    BUFFERS,
    BY_KEYWORD,
    CARRYING,
    COMPUTED,
    DEPTHWISE,
    FIXED_SIZE,
    FOLDED,
    GROUPED,
    NAMED_TWICE,
    OWN_PARTS,
    PADDED,
    PRE_ACTIVATION,
    ROWS,
    SIDE,
    SPREAD,
    SQUEEZED,
    TOKENS,
    network,
)
from tests.own_forwards import NAME as OWN_FORWARD
from tests.pruning.test_every_method import make, params, request
from tests.steps.test_rehearse import document, refusals

OWN: dict[str, Any] = {"own_code": "tests", "benchmark__trained": ["own"], "distill__teachers": ["own"]}
PLAIN_SCALE, NO_STATISTICS = {"affine": False}, {"tracked": False}


def named(builder: str, **arguments: Any) -> dict[str, Any]:
    """A section of `networks`."""
    return {"builder": builder, "arguments": arguments, "weights": None}


@pytest.mark.parametrize("seed", [3, 5])
def test_kdfs_tells_the_macs_of_a_grouped_network_as_they_are(seed: int) -> None:
    """Uneven runs were filled up when the network was made small, so that it had more than was told."""
    dense = network(GROUPED)
    settings = params("kdfs", macs_ratio=0.4, threshold="budget", keep_bias=0.0)
    made = Search(dense, settings, request(dense, 0.5, coupled=True, seed=seed))
    masks = made.final()
    told, whole = float(made.share(masks)), count(dense, (3, 8, 8)).total_macs
    for mask in masks.values():
        assert len(set(mask.view(4, 4).sum(1).tolist())) == 1
    apply_(dense, Kept(masks))
    assert count(compact(dense, Kept(masks), "coupled"), (3, 8, 8)).total_macs / whole == pytest.approx(told, abs=1e-6)


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize(
    ("name", "arguments"), [(PRE_ACTIVATION, {}), (BATCH_NORMS, {}), (BATCH_NORMS, PLAIN_SCALE), (BATCH_NORMS, NO_STATISTICS)]
)
def test_kdfs_searches_the_network_that_its_masks_leave(name: str, arguments: dict[str, bool], coupled: bool) -> None:
    """Where something else than a batch norm read a layer, or that batch norm had no scale, it searched another one."""
    masked = network(name, **arguments)
    searched = copy.deepcopy(masked)
    made = Search(searched, params("kdfs", threshold="zero", keep_bias=0.0), request(searched, 0.5, coupled=coupled, seed=3))
    masks, batch = made.spread(made.sampler.ticket()), images(masked, 4)
    kept = Kept({layer: mask > 0 for layer, mask in masks.items()})
    assert kept.share < 1.0
    apply_(masked, kept)
    with torch.no_grad():
        assert torch.allclose(searched(batch), masked(batch), atol=1e-6)


@pytest.mark.parametrize("allocation", ["uniform", "global", "global_normalised"])
def test_what_a_single_layer_hands_to_a_shortcut_stays_where_it_arrives(allocation: Any) -> None:
    made = network(CARRYING)
    selection = Selection(made, 0.5, coupled=True, layers=replace(EVERYWHERE, allocation=allocation))
    for seed in range(5):
        generator = stream(seed, "scores")
        masks = selection.choose(
            {name: torch.rand(len(weight), generator=generator) for name, weight in made.filters().items()}
        )
        assert int(masks["conv1"].sum()) == 4 or allocation != "uniform"
        assert bool(masks["conv2"][:8][masks["conv1"]].all())


@pytest.mark.parametrize("arguments", [PLAIN_SCALE, NO_STATISTICS])
def test_a_pruned_network_of_such_batch_norms_is_imported_as_it_is(arguments: dict[str, bool], tmp_path: Path) -> None:
    made = network(BATCH_NORMS, **arguments)
    with torch.no_grad():
        made.get_parameter("conv1.weight")[2] = 0.0
        if "bn1.bias" in made.state_dict():
            made.get_parameter("bn1.bias")[2] = -0.5  # what relu cuts off
    batch = images(made, 4)
    before = made(batch)
    torch.save(made.state_dict(), tmp_path / "odd.pth")
    fields = {"network": BATCH_NORMS, "arguments": arguments, "shape": (3, 8, 8), "state": None, "rename": ()}
    found = read(tmp_path / "odd.pth", replace(DESCRIPTION, **fields, sha256=None, expected=None))
    assert found.kept is not None
    assert int(found.kept.filters["conv1"].sum()) == 7
    assert torch.allclose(found.network(batch), before, atol=1e-6)
    assert torch.allclose(compact(found.network, found.kept, "coupled")(batch), before, atol=1e-6)


@pytest.mark.parametrize("arguments", [NO_STATISTICS, {"last": True}])
def test_a_shift_that_nothing_can_take_in_is_no_silent_loss(arguments: dict[str, bool]) -> None:
    """Of a batch norm without statistics, before a 3x3 convolution; or of an ordinary one, before a 1x1 convolution whose
    batch norm has no mean to move it into.
    """
    made = network(BATCH_NORMS, **arguments)
    with torch.no_grad():
        made.get_parameter("conv1.weight")[2] = 0.0
        made.get_parameter("bn1.bias")[2] = 5.0
    with pytest.raises(ValueError, match=r"make constants of them .*: bn1 \(1\)"):
        silence_(made, Kept(from_zeros(made)))


@pytest.mark.parametrize("arguments", [PLAIN_SCALE, NO_STATISTICS])
def test_merging_multiples_changes_nothing_before_such_batch_norms(arguments: dict[str, bool]) -> None:
    made = network(BATCH_NORMS, **arguments).double()
    weight, norm = made.weight("conv1"), made.get_submodule("bn1")
    norm.eps = 1e-12
    with torch.no_grad():
        weight[1] = 0.25 * weight[0]
        if norm.running_mean is not None:
            norm.running_mean[1], norm.running_var[1] = 0.25 * norm.running_mean[0], norm.running_var[0] / 16
        if norm.bias is not None:
            norm.bias[1], norm.weight[1] = 3.0 * norm.bias[0], 3.0 * norm.weight[0]
        batch = images(made, 4, dtype=torch.float64)
        before = made(batch)
        masks = {name: torch.ones(len(one), dtype=torch.bool) for name, one in made.filters().items()}
        masks["conv1"][1] = False
        ranks, partners = zip(*map(merge.order, made.filters().values()), strict=True)
        assert partners[0][1] == 0
        orders = (dict(zip(made.filters(), found, strict=True)) for found in (partners, ranks))
        merge.merge_(made, masks, *orders, params("merge", compensate=True))
        apply_(made, Kept(masks))
        assert torch.allclose(made(batch), before, atol=1e-9)


def test_methods_that_need_what_a_batch_norm_lacks_say_so() -> None:
    with pytest.raises(ValueError, match="scales of the batch norm behind them; there are none behind conv1;"):
        make("bn_scale", network(BATCH_NORMS, **PLAIN_SCALE), 0.5)
    with pytest.raises(ValueError, match=r"running variance of bn1, which has none .*; set revival: free"):
        make("sfp", network(BATCH_NORMS, **NO_STATISTICS), 0.5)
    assert make("sfp", network(BATCH_NORMS, **NO_STATISTICS), 0.5, revival="free")


def halved(made: Network) -> Kept:
    """Drop other filters of every layer, half of each; masks are applied."""
    kept = Kept(
        {name: torch.arange(len(weight)) % 2 == turn % 2 for turn, (name, weight) in enumerate(made.filters().items())}
    )
    apply_(made, kept)
    return kept


@pytest.mark.parametrize("mode", ["coupled", "scatter"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((SPREAD, {"kind": kind}) for kind in ("shifted", "in place", "scaled", "one channel")),
        *((DEPTHWISE, {"filters": filters}) for filters in (1, 2)),
        *((TOKENS, {"features": features}) for features in (16, 24)),  # as many as tokens, and more
        (PADDED, {}),
        *((FOLDED, {"unknown": unknown}) for unknown in (False, True)),
        *((ROWS, {"normed": normed}) for normed in (False, True)),
        (OWN_PARTS, {}),
        (ATTENDING, {}),
    ],
)
def test_the_compact_network_and_what_ships_compute_the_same(name: str, arguments: dict[str, Any], mode: Mode) -> None:
    made = network(name, **arguments).double()
    small = compact(made, halved(made), mode)
    batch = images(made, 3, dtype=torch.float64)
    with torch.no_grad():
        wanted = made(batch)
        for form in (small, masked(small), ship(small), ship(small, 8)):
            assert gap(wanted, form(batch)).relative < FLOAT64_LIMIT


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((FOLDED, {"unknown": unknown}) for unknown in (False, True)),
        (ROWS, {}),
        (ATTENDING, {}),
        (ATTENDING, {"keys": 12}),
    ],
)
def test_macs_of_one_image_are_those_that_torch_counts(name: str, arguments: dict[str, Any]) -> None:
    """A quarter of an image was counted, or one pixel of it, and nothing inside attention."""
    made = network(name, **arguments)
    matrices = {torch.ops.aten.convolution, torch.ops.aten.mm, torch.ops.aten.addmm}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made.train()(images(made, 1))  # in eval mode attention takes a way that torch does not count
    expected = sum(flops for kind, flops in counter.get_flop_counts()["Global"].items() if kind in matrices) // 2
    assert count(made, (3, 8, 8)).total_macs == expected


def test_parts_that_are_no_modules_of_torch_stay_whole() -> None:
    """They were taken for prunable, and no compact network could be made."""
    assert {layer.name: layer.width for layer in network(OWN_PARTS).layers} == {"conv2": 16, "conv3": 16}


@pytest.mark.parametrize("kind", ["weight", "spectral", "old"])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_a_weight_that_is_computed_from_others_is_refused_with_the_cure(kind: str) -> None:
    said = r"tests.odd_networks:Computed: conv2.weight is computed from other tensors \(as by weight_norm or spectral_norm\)"
    with pytest.raises(ValueError, match=said):
        network(COMPUTED, kind=kind)


def test_a_network_that_cannot_be_made_small_is_told_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason: here a fault is put in."""
    found = document(networks={"own": named(GROUPED)}, benchmark__network="own", **OWN)
    assert refusals(found, View((3, 8, 8), 10, 900)) == []

    def broken(*_: object) -> Network:
        raise AssertionError

    def other(dense: Network, *_: object) -> Network:
        return build(dense.architecture, stream(8, "initialisation"))

    for wrong, said in ((broken, "cannot be made small (AssertionError: )"), (other, "computes something else when it is")):
        monkeypatch.setattr("lib.steps.rehearse.compact", wrong)
        (line,) = refusals(found, View((3, 8, 8), 10, 900))
        assert line.startswith(f"benchmark.network: own: tests.odd_networks:Grouped {said}")


def test_a_layer_that_vanishes_is_zero_in_the_dense_network_of_the_compact_one() -> None:
    """Few filters of a gate and of what it gates need not meet: the gate goes, and kept random weights."""
    made = alive("torchvision:mobilenet_v3_small", 64)
    norms = {name: weight.flatten(1).norm(dim=1) for name, weight in made.filters().items()}
    kept = Kept(Selection(made, 0.1, coupled=False).choose(norms))
    apply_(made, kept)
    small, batch = compact(made, kept, "scatter"), images_for(made)
    assert made.state_dict().keys() - small.state_dict().keys()
    with torch.no_grad():
        assert gap(made(batch), masked(small)(batch)).relative < FLOAT64_LIMIT
        assert gap(made(batch), ship(small)(batch)).relative < FLOAT64_LIMIT


def test_convolutions_called_as_functions_are_packed_and_counted_as_what_they_are() -> None:
    made = network(PADDED)
    small = compact(made, halved(made), "coupled")
    assert weights(small).keys() == weights(made).keys()
    sizes = pack(Checkpoint(small, None, (3, 8, 8), (0.5,) * 3, (0.2,) * 3, {}), "huffman").sizes
    assert sizes.parts["conv"] > sizes.parts["linear"] > 0
    labels = share_(small, {"conv*": 2})
    assert {name: len(weights(small)[name].unique()) for name in labels} == {"conv1": 4, "conv2": 4}
    sum_gradients(small, labels)
    small.train()(images(made, 4)).square().sum().backward()
    gradients = weights(small)["conv2"].grad
    assert gradients is not None
    assert len(gradients.unique()) <= 4
    with torch.no_grad():
        weights(small)["conv2"].zero_()
    assert zero_share(small) == pytest.approx(8 * 8 * 9 / (8 * 8 * 9 + 8 * 3 * 9 + 8 * 10))


def test_a_single_image_must_have_logits_of_its_own() -> None:
    found = refusals(document(networks={"own": named(SQUEEZED)}, benchmark__network="own", **OWN), View((3, 8, 8), 10, 900))
    assert found == [
        "benchmark.trained: own: own gives (10,) for one image, not (1, 10); tell squeeze() which axes it is to remove"
    ]


def test_a_network_that_cannot_take_a_single_image_is_not_exported(tmp_path: Path) -> None:
    """The exporter failed with a page of its own."""
    made = network(SQUEEZED)
    with pytest.raises(ValueError, match=r"tests.odd_networks:Squeezed gives \(10,\) for one image, not \(1, 10\); tell sq"):
        onnx.export(Checkpoint(made, None, (3, 8, 8), (0.5,) * 3, (0.5,) * 3, {}), images(made, 4), tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["int32", "float64"])
def test_buffers_that_no_file_takes_are_told_before_any_training(kind: str) -> None:
    own = {"own": named(BUFFERS, kind=kind)}
    (found,) = refusals(document(networks=own, benchmark__network="own", **OWN), View((3, 8, 8), 10, 900))
    assert f"files hold float32, int64 and bool alone, got extra (torch.{kind}); build the network so, or convert it" in found


def test_what_a_runtime_cannot_take_is_told_before_any_training() -> None:
    """It failed in stage `latency`, after all trainings."""
    own = {"own": named(OWN_FORWARD, kind="no_onnx")}
    found = refusals(document(networks=own, benchmark__network="own", **OWN), View((3, 8, 8), 10, 900))
    assert [line.partition(" (")[0] for line in found] == [
        f"latency.runtimes: {runtime}: {OWN_FORWARD} cannot run there" for runtime in ("onnxruntime", "onnxruntime_int8")
    ]
    assert all("bessel_i0e" in line and line.endswith("or leave the runtime out") for line in found)
    left = document(networks=own, benchmark__network="own", latency__runtimes=["pytorch"], **OWN)
    assert refusals(left, View((3, 8, 8), 10, 900)) == []


def test_an_empty_buffer_is_saved(tmp_path: Path) -> None:
    made = network(BUFFERS, kind="empty")
    save(tmp_path / "empty.safetensors", Checkpoint(made, None, (3, 8, 8), (0.5,) * 3, (0.2,) * 3, {}))
    assert load(tmp_path / "empty.safetensors").network.state_dict()["extra"].numel() == 0


def test_a_module_of_two_names_is_saved_and_comes_back(tmp_path: Path) -> None:
    made = network(NAMED_TWICE)
    save(tmp_path / "twice.safetensors", Checkpoint(made, None, (3, 8, 8), (0.5,) * 3, (0.2,) * 3, {}))
    batch = images(made, 2)
    assert torch.equal(load(tmp_path / "twice.safetensors").network(batch), made(batch))


def test_a_classifier_of_another_name_is_shared() -> None:
    student, teacher = network(NAMED_TWICE), network(NAMED_TWICE, seed=1)
    share_classifier_(student, teacher)
    assert torch.equal(student.get_parameter("fc.weight"), teacher.get_parameter("fc.weight"))


def test_a_network_that_needs_its_size_is_imported(tmp_path: Path) -> None:
    made = network(FIXED_SIZE, SIDE)
    apply_(made, Kept(random_masks(made)))
    torch.save(made.state_dict(), tmp_path / "fixed.pth")
    fields = {"network": FIXED_SIZE, "arguments": {}, "shape": (3, SIDE, SIDE), "state": None, "rename": ()}
    found = read(tmp_path / "fixed.pth", replace(DESCRIPTION, **fields, sha256=None, expected=None))
    assert found.kept is not None
    assert not all(mask.all() for mask in found.kept.filters.values())


def test_a_concatenation_by_keyword_is_traced() -> None:
    assert network(BY_KEYWORD).description.layers


def test_vectors_are_not_compared_with_maps() -> None:
    """They were spread over one another: equal features had a loss."""
    settings = feature.FeatureSettings(where="penultimate", distance="mse")
    maps, vectors = (Outputs(torch.zeros(2, 10), {"penultimate": torch.zeros(2, 4, *size)}) for size in ((1, 1), ()))
    with pytest.raises(ValueError, match=r"got \(4,\) of the student and \(4, 1, 1\) of the teacher; compare other places"):
        feature.term(settings, vectors, maps)


def test_a_cut_file_of_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b'\x10\x00\x00\x00\x00\x00\x00\x00{"a":1')
    with pytest.raises(ValueError, match=r"cut\.safetensors cannot be read: "):
        _is_checkpoint(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(("wanted", "size", "sizes"), [(75, 37, [37, 37]), (76, 37, [37, 37, 2]), (1, 37, [1])])
def test_no_sample_ends_with_a_single_image(tmp_path: Path, wanted: int, size: int, sizes: list[int]) -> None:
    setting = tiny.here(tiny.document(), _digits(tmp_path))
    assert [len(labels) for _, labels in setting.sample("test")(wanted, size)] == sizes


def _digits(folder: Path) -> Path:
    tiny.digits(folder)
    return folder
