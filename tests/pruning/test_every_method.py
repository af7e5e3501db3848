"""One contract for every file of lib/pruning/methods: a new method joins by existing, and by its entry in PARAMS."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib import plugins
from lib.compaction.compact import Mode, compact
from lib.masks.filters import check, kept_count
from lib.masks.kept import Kept, apply_, leftovers
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning import methods
from lib.pruning.layers import EVERYWHERE, Layers
from lib.pruning.method import Common, Method, Request
from lib.training.hooks import Moment
from lib.training.sgd import Sgd
from tests.networks_for_tests import alive, images, lived_in
from tests.small_networks import CHAIN
from tests.small_networks import NAMES as BUILDERS

SETTINGS = Sgd(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, decayed="all")
EPOCHS = 3
THRESHOLDING = {
    "warmup_epochs": 0,
    "warmup_steps": 0,
    "every": 1,
    "mask_momentum": False,
    "revival": "damped",
    "batches": None,
}
AHSG_HT = {**THRESHOLDING, "variant": "sgd", "heavy_ball": 0.1}
GRADUAL = {"every": 1, "keep_schedule": {"kind": "constant"}}
SOFTLY = {**GRADUAL, "revival": "damped"}
ASYMPTOTIC = {"kind": "asymptotic", "first_pruned": 0.0, "knee": 0.125}
SAMPLED = {"samples": 6, "batch": 4}
KDFS = {
    "macs_ratio": None,
    "penalty": 100.0,
    "finetune_epochs": 1,
    "temperature_first": 1.0,
    "temperature_last": 0.1,
    "keep_bias": 1.0,
    "lr_factor": 0.1,
    "sampler_lr_factor": 1.0,
    "decoupled_decay": True,
    "threshold": "budget",
    "calibration": 8,
}
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "ahsg_ht": AHSG_HT,
    "asfp": {**SOFTLY, "keep_schedule": ASYMPTOTIC, "order": 2},
    "bn_scale": {},
    "dense": {},
    "fpgm": {**SOFTLY, "update": "hard", "distance": "euclidean", "squared": False, "norm_remove": 0.0},
    "hsg_ht": THRESHOLDING,
    "kdfs": KDFS,
    "l1": {"order": 1},
    "merge": {"fuse": 0.75, "compensate": True},
    "nggm": {**SAMPLED, "gamma": 0.5, "squared": False},
    "random": {},
    "regularise": {**GRADUAL, "strength": 0.1},
    "scratch": {"start": "scratch"},
    "sfp": {**SOFTLY, "order": 2},
    "taylor": SAMPLED,
    "weight": {**GRADUAL, "scope": "layer", "update": "hard"},
}
NAMES = plugins.names(methods)
ALL_LAYERS = replace(EVERYWHERE, linear=True)
SOFT = ("ahsg_ht", "asfp", "hsg_ht", "sfp")  # what is dropped may come back
NO_COUNT = ("kdfs", "weight")  # a budget of MACs, and single weights, decide: no count of filters a layer
HARD = [name for name in NAMES if name not in (*SOFT, "dense", "weight")]


def ratio_for(name: str, ratio: float) -> float:
    return 1.0 if name == "dense" else ratio


def request(network: Network, ratio: float, *, coupled: bool = False, seed: int = 0, epochs: int = EPOCHS) -> Request:
    """A request in the type of the network, with a sample of its own."""
    dtype = next(network.parameters()).dtype

    def sample(count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        batch, labels = images(network, count, seed=1, dtype=dtype), torch.arange(count) % 10
        return zip(batch.split(size), labels.split(size), strict=True)

    return Request(
        keep_ratio=ratio,
        coupled=coupled,
        epochs=epochs,
        generator=torch.Generator().manual_seed(seed),
        layers=EVERYWHERE,
        shape=network.architecture.shape,
        sample=sample,
    )


def params(name: str, **changes: Any) -> Any:
    """The settings of PARAMS, checked as a parameter file is."""
    from lib.params.section import read

    assert name in PARAMS, f"give {name} an entry in PARAMS of this test"
    given = {"start": "dense", "guide": {}} | dict(PARAMS[name]) | changes
    return read({"prune": {"methods": {name: given}}}, f"prune.methods.{name}", plugins.settings(plugins.find(methods, name)))


def make(name: str, network: Network, ratio: float, *, coupled: bool = False, seed: int = 0, **changes: Any) -> Method:
    asked = request(network, ratio_for(name, ratio), coupled=coupled, seed=seed)
    made: Method = plugins.find(methods, name).method(network, params(name, **changes), asked)
    return made


def preload(network: Network, optimizer: torch.optim.Optimizer) -> None:
    """Momentum that pushes every weight, where the optimizer has momentum of that kind."""
    if not isinstance(optimizer, torch.optim.Adamax):
        for parameter in network.parameters():
            optimizer.state[parameter]["momentum_buffer"] = torch.full_like(parameter, 0.1)


Watch = Callable[[Moment], None]


def train(
    network: Network, method: Method, steps: int = 2, epochs: range = range(EPOCHS), watch: Watch = lambda _: None
) -> torch.optim.Optimizer:
    """Epochs of a few steps of real training, from momentum that pushes every weight."""
    optimizer = method.optimizer([*network.parameters(), *method.parameters], SETTINGS)
    preload(network, optimizer)
    go_on(network, method, optimizer, steps, epochs, watch)
    return optimizer


def go_on(
    network: Network,
    method: Method,
    optimizer: torch.optim.Optimizer,
    steps: int,
    epochs: range,
    watch: Watch = lambda _: None,
) -> None:
    batch = images(network, 8, dtype=next(network.parameters()).dtype)
    for epoch in epochs:
        network.train()
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
        for step in range(steps):
            loss = nn.functional.cross_entropy(network(batch), torch.arange(8))
            optimizer.zero_grad()
            (loss if method.penalty is None else loss + method.penalty()).backward()
            optimizer.step()
            moment = Moment(epoch, epoch * steps + step, optimizer)
            method.after_step(moment)
            watch(moment)
        method.after_epoch(moment)
    network.eval()


def finish(network: Network, method: Method) -> None:
    """What the prune stage does at the end."""
    apply_(network, method.kept().to("cpu"))


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_source_reference_and_departures(name: str) -> None:
    text = plugins.find(methods, name).__doc__
    assert text is not None
    if name in ("dense", "random", "scratch"):  # controls
        return
    assert "https://" in text
    assert re.search(r"^Reference: ", text, re.MULTILINE)
    assert re.search(r"^Departs: ", text, re.MULTILINE)


def living(network: str) -> Network:
    """As `lived_in`, and the narrow chain too."""
    return alive(Architecture(CHAIN, 10, 3, (32, 32))) if network == "chain" else lived_in(network)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.001])
@pytest.mark.parametrize(("network", "coupled"), [("resnet8", False), ("resnet8", True), ("chain", False)])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_COUNT])
def test_masks_keep_the_count_asked_for(name: str, network: str, ratio: float, coupled: bool) -> None:
    made = living(network)
    method = make(name, made, ratio, coupled=coupled)
    train(made, method, steps=1)
    masks = method.masks()
    check(made, masks)
    for layer in made.layers:
        mask = masks[layer.name]
        wanted = kept_count(layer.width, ratio_for(name, ratio)) if layer.kind == "conv" else layer.width
        assert int(mask.sum()) == wanted, layer.name


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.001])
@pytest.mark.parametrize("name", ["kdfs", "weight"])
def test_methods_without_a_count_keep_the_ratio_they_were_asked_for(name: str, ratio: float) -> None:
    from lib.cost.differentiable import Macs

    made = lived_in("resnet8")
    method = make(name, made, ratio)
    train(made, method, steps=1)
    check(made, method.masks())
    if method.kept().weights:
        assert method.kept().share == pytest.approx(max(ratio, 7 / 75_800), abs=2e-4)  # 7 layers keep one at least
        return
    macs = Macs(made, (3, 8, 8), coupled=False)
    uniform = {layer: torch.arange(len(mask)) < kept_count(len(mask), ratio) for layer, mask in method.masks().items()}
    assert float(macs(method.masks())) == pytest.approx(float(macs(uniform)), rel=0.01)
    assert method.remark() == ""


@pytest.mark.parametrize("name", NAMES)
def test_keep_ratio_one_changes_nothing(name: str) -> None:
    made = lived_in("resnet8")
    before = {key: tensor.clone() for key, tensor in made.state_dict().items()}
    method = make(name, made, 1.0, **({"keep_bias": 20.0} if name == "kdfs" else {}))
    made.eval()
    batch = images(made, 4)
    finish(made, method)
    assert all(bool(mask.all()) for mask in method.masks().values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in made.state_dict().items())
    assert made(batch).isfinite().all()


# A chain has nothing to couple: both modes are one.
@pytest.mark.parametrize(("network", "mode"), [("resnet8", "scatter"), ("resnet8", "coupled"), ("chain", "coupled")])
@pytest.mark.parametrize("name", NAMES)
def test_compact_equals_masked_after_training(name: str, network: str, mode: Mode) -> None:
    made = living(network).double()
    method = make(name, made, 0.5, coupled=mode == "coupled")
    train(made, method, steps=1)
    finish(made, method)
    small = compact(made, Kept(method.masks()), mode)
    batch = images(made, 2, dtype=torch.float64)
    with torch.no_grad():
        assert (made(batch) - small(batch)).abs().max() < 1e-9


def with_batch_norms(network: Network) -> Layers:
    """All layers but those without a batch norm of their own."""
    return replace(EVERYWHERE, leave_out=tuple(layer.name for layer in network.layers if layer.batch_norm is None))


# Each has channels that hang together in another way. Nothing couples in a chain, but its hidden linear layer is pruned too.
SMALL = [(name, mode) for name in BUILDERS if name != "one_convolution" for mode in ("scatter", "coupled")]


@pytest.mark.grid
@pytest.mark.parametrize(("network", "mode"), [case for case in SMALL if case != ("plain", "scatter")])
@pytest.mark.parametrize("name", NAMES)
def test_every_network_is_pruned_trained_and_made_compact(name: str, network: str, mode: Mode) -> None:
    made = alive(Architecture(BUILDERS[network], 10, 3, (32, 32))).double()
    asked = replace(request(made, ratio_for(name, 0.5), coupled=mode == "coupled", epochs=2), layers=ALL_LAYERS)
    prune = plugins.find(methods, name).method
    if name == "bn_scale" and (bare := with_batch_norms(made)).leave_out:
        with pytest.raises(
            ValueError, match=f"none behind {re.escape(bare.leave_out[0])}.*; name them in prune.layers.leave_out"
        ):
            prune(made, params(name), asked)
        asked = replace(asked, layers=bare)
    method = prune(made, params(name), asked)
    train(made, method, steps=1, epochs=range(2))
    finish(made, method)
    kept, batch = method.kept(), images(made, 2, dtype=torch.float64)
    assert (kept.share < 1.0) == (name != "dense" and bool(asked.selection(made).pruned))
    assert leftovers(made, kept) == []
    small = compact(made, Kept(kept.filters), mode)
    with torch.no_grad():
        expected, got = made(batch), small(batch)
    apart = (expected[0] - expected[1]).abs().max()  # an answer that is the same to everything would prove nothing
    assert (expected - got).abs().max() < min(1e-9, 1e-3 * float(apart))


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_gives_the_same_masks_and_weights(name: str) -> None:
    results = []
    for _ in range(2):
        made = lived_in("resnet8")
        method = make(name, made, 0.5, seed=5)
        train(made, method)
        results.append((method.masks(), made.state_dict()))
    for first, second in zip(*results, strict=True):
        assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


@pytest.mark.parametrize("stop", range(1, EPOCHS))
@pytest.mark.parametrize("name", NAMES)
def test_resumed_after_any_epoch_gives_the_same_bits(name: str, stop: int) -> None:
    whole = lived_in("resnet8")
    method = make(name, whole, 0.5)
    train(whole, method)

    first = lived_in("resnet8")
    begun = make(name, first, 0.5)
    optimizer = train(first, begun, epochs=range(stop))
    saved = (first.state_dict(), optimizer.state_dict(), [p.detach().clone() for p in begun.parameters], dict(begun.state))

    second = lived_in("resnet8")
    resumed = make(name, second, 0.5)
    again = resumed.optimizer([*second.parameters(), *resumed.parameters], SETTINGS)
    with torch.no_grad():
        second.load_state_dict(saved[0])
        again.load_state_dict(saved[1])
        for parameter, value in zip(resumed.parameters, saved[2], strict=True):
            parameter.copy_(value)
        for key, tensor in resumed.state.items():
            tensor.copy_(saved[3][key])
    go_on(second, resumed, again, 2, range(stop, EPOCHS))
    assert all(torch.equal(tensor, second.state_dict()[key]) for key, tensor in whole.state_dict().items())
    assert all(torch.equal(mask, resumed.masks()[key]) for key, mask in method.masks().items())


@pytest.mark.parametrize("name", ["random", "kdfs"])
def test_another_seed_gives_other_masks(name: str) -> None:
    first, second = (make(name, lived_in("resnet8"), 0.5, seed=seed).masks() for seed in (0, 1))
    assert any(not torch.equal(mask, second[layer]) for layer, mask in first.items())


@pytest.mark.parametrize("name", HARD)
def test_hard_masks_hold_every_dropped_filter_at_zero_through_every_step(name: str) -> None:
    made = lived_in("resnet8")
    method = make(name, made, 0.5)
    held = range(EPOCHS - 1, EPOCHS) if name == "kdfs" else range(EPOCHS)  # its search ends before the last epoch
    seen = []

    def zero(moment: Moment) -> None:
        if moment.epoch not in held:
            return
        masks = (
            method.masks() if name == "kdfs" else {key: method.state.get(key, mask) for key, mask in method.masks().items()}
        )
        for layer in made.layers:
            dropped = ~masks[layer.name]
            conv, norm = made.weight(layer.name), made.batch_norm(layer)
            assert conv[dropped].eq(0).all()
            assert norm.weight[dropped].eq(0).all()
            assert norm.bias[dropped].eq(0).all()
            for buffer in moment.optimizer.state[conv].values():
                assert buffer.shape != conv.shape or buffer[dropped].eq(0).all()
        seen.append(moment.epoch)

    train(made, method, steps=4, watch=zero)
    assert len(seen) == 4 * len(held)
    assert any(not bool(mask.all()) for mask in method.masks().values())


@pytest.mark.parametrize("name", SOFT)
def test_soft_methods_let_a_dropped_filter_grow_again_by_itself(name: str) -> None:
    made = lived_in("resnet8")
    method = make(name, made, 0.5, **({"every": 100} if name in ("ahsg_ht", "hsg_ht") else {"every": 1}))
    grown = []

    def alive(_: Moment) -> None:
        grown.append(int(made.filters()["layer1.0.conv2"].flatten(1).ne(0).any(1).sum()))

    train(made, method, steps=3, epochs=range(2), watch=alive)
    # Not all 16: where the shortcut brings nothing either, a closed ReLU stops the gradient.
    assert min(grown[-2:]) > kept_count(16, 0.5)


def test_weight_holds_single_weights_at_zero_and_every_filter_alive() -> None:
    made = lived_in("resnet8")
    method = make("weight", made, 0.3)
    optimizer = train(made, method, steps=4)
    for layer, mask in method.kept().weights.items():
        weight = made.get_submodule(layer).weight
        assert isinstance(weight, Tensor)
        assert weight[~mask].eq(0).all()
        assert weight[mask].ne(0).all()
        assert optimizer.state[weight]["momentum_buffer"][~mask].eq(0).all()
    assert all(bool(mask.all()) for mask in method.masks().values())


@pytest.mark.parametrize("name", NAMES)
def test_teacher_is_not_touched(name: str) -> None:
    teacher, student = lived_in("resnet8"), lived_in("resnet8")
    train(student, make(name, student, 0.5))
    assert all(torch.equal(tensor, lived_in("resnet8").state_dict()[key]) for key, tensor in teacher.state_dict().items())


CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nggm", {"squared": True}),
    ("nggm", {"gamma": 0.0}),
    ("fpgm", {"distance": "cityblock"}),
    ("fpgm", {"distance": "cosine"}),
    ("fpgm", {"norm_remove": 0.4}),
    ("l1", {"order": 2}),
    ("weight", {"scope": "global"}),
)


@pytest.mark.parametrize(("name", "changes"), CHANGES)
def test_settings_that_choose_filters_do_change_the_choice(name: str, changes: dict[str, Any]) -> None:
    chosen = []
    for settings in ({}, changes):
        made = lived_in("resnet20")
        with torch.no_grad():
            for weight in made.filters().values():  # filters of very different lengths, as training makes them
                weight.mul_(torch.linspace(0.3, 3.0, len(weight)).view(-1, 1, 1, 1))
        method = make(name, made, 0.5, **settings)
        chosen.append(method.kept().weights or method.masks())
    assert any(not torch.equal(mask, chosen[1][layer]) for layer, mask in chosen[0].items())


def test_weight_obeys_the_layers_of_the_suite() -> None:
    made = lived_in("resnet8")
    layers = Layers("inner", ("layer3.*",), {"layer2.0.conv1": 0.25}, "kept", 1, "uniform", None, linear=False)
    method = plugins.find(methods, "weight").method(made, params("weight"), replace(request(made, 0.5), layers=layers))
    shares = {layer: float(mask.float().mean()) for layer, mask in method.kept().weights.items()}
    whole = {layer for layer, share in shares.items() if share == 1.0}
    assert whole == {"conv1", "layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv1", "layer3.0.conv2"}
    assert shares["layer2.0.conv1"] == pytest.approx(0.25)
    assert shares["layer1.0.conv1"] == shares["classifier"] == pytest.approx(0.5)


def test_weight_takes_each_layer_by_itself() -> None:
    """Of layers that add to one stream, and of hidden linear ones, too; their single weights share nothing."""
    made = lived_in("vgg11")
    layers = replace(
        EVERYWHERE, leave_out=("classifier.0", "features.0"), keep_ratios={"classifier.3": 0.25, "features.4": 32}
    )
    method = plugins.find(methods, "weight").method(made, params("weight"), replace(request(made, 0.5), layers=layers))
    shares = {layer: float(mask.float().mean()) for layer, mask in method.kept().weights.items()}
    own = {"classifier.0": 1.0, "features.0": 1.0, "classifier.3": 0.25, "features.4": 0.25}
    assert shares == pytest.approx(dict.fromkeys(shares, 0.5) | own, abs=1e-4)
    made = lived_in("resnet8")
    layers = replace(EVERYWHERE, leave_out=("layer1.0.conv2",))
    asked = replace(request(made, 0.5, coupled=True), layers=layers)
    kept = plugins.find(methods, "weight").method(made, params("weight"), asked).kept().weights
    assert [layer for layer, mask in kept.items() if bool(mask.all())] == ["layer1.0.conv2"]


def test_no_method_imports_another() -> None:
    for name in NAMES:
        text = Path(str(plugins.find(methods, name).__file__)).read_text()
        assert not re.search(r"from lib\.pruning\.methods", text), f"{name}: what methods share belongs beside their folder"


def test_l1_keeps_the_filters_of_largest_norm_of_the_order_asked_for() -> None:
    made = lived_in("resnet8")
    masks = make("l1", made, 0.5).masks()
    original = lived_in("resnet8")
    for layer, mask in masks.items():
        norms = original.filters()[layer].abs().sum((1, 2, 3))
        assert norms[mask].min() > norms[~mask].max()


def test_dense_refuses_to_prune() -> None:
    module, network = plugins.find(methods, "dense"), lived_in("resnet8")
    with pytest.raises(ValueError, match=r"keep_ratio must be 1\.0, got 0\.5"):
        module.method(network, Common("dense", {}), request(network, 0.5))


def test_scratch_refuses_to_start_from_the_teacher() -> None:
    with pytest.raises(ValueError, match="start must be scratch"):
        plugins.settings(plugins.find(methods, "scratch"))("dense", {})
