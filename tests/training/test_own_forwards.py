"""A forward of the user's own, with arguments of its own or an eye on the mode, is trained, scored and described as it is."""

import copy

import pytest
import torch

from lib.compaction.compact import compact
from lib.compaction.proof import gap
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.pruning.gradients import gradients
from lib.pruning.revival import Damping
from lib.training.objective import Objective
from lib.training.remaining import remaining
from lib.training.taps import Tapped
from tests.networks_for_tests import images, random_masks
from tests.odd_networks import network
from tests.own_forwards import FROZEN, IN_PLACE, MODES, NAME


def _gap(own: Network, kept: Kept) -> float:
    """How far the compact network is from the masked one."""
    batch = images(own, 4)
    with torch.no_grad():
        return gap(compact(own, kept, "coupled").eval()(batch), own.eval()(batch)).relative


@pytest.mark.parametrize(("name", "kind"), [*((NAME, kind) for kind in MODES), (FROZEN, "plain")])
def test_what_looks_at_the_mode_is_trained_itself(name: str, kind: str) -> None:
    """What remains of it knows eval mode alone."""
    own = network(name, kind=kind)
    kept = Kept(random_masks(own, 3))
    apply_(own, kept)
    assert remaining(own, kept, Objective(Tapped(own), 0.0)) is None
    assert _gap(own, kept) < 1e-5


def test_what_does_not_is_trained_at_its_widths() -> None:
    own = network(NAME)
    kept = Kept(random_masks(own, 3))
    apply_(own, kept)
    assert remaining(own, kept, Objective(Tapped(own), 0.0)) is not None


@pytest.mark.parametrize("kind", IN_PLACE)
def test_what_is_changed_in_place_is_what_is_read_afterwards(kind: str) -> None:
    own = network(NAME, kind=kind)
    assert "conv2" in own.filters()
    kept = Kept(random_masks(own, 3))
    apply_(own, kept)
    assert _gap(own, kept) < 1e-5


def test_a_train_method_of_its_own_decides() -> None:
    own = network(FROZEN).train()
    assert own.training
    assert own.get_submodule("bn2").training
    assert not own.get_submodule("bn1").training
    assert not copy.deepcopy(own).train().get_submodule("bn1").training


def test_arguments_with_defaults_have_them() -> None:
    """Knowledge distillation's public code has forward(x, is_feat=False)."""
    own = network(NAME)
    assert set(own.filters()) == {"conv1", "conv2"}
    assert own.description.locked == {"fc": "the network's output"}
    kept = Kept(random_masks(own, 3))
    apply_(own, kept)
    assert _gap(own, kept) < 1e-5


def test_several_outputs_by_name_are_refused() -> None:
    own = network(NAME, kind="mapping")
    with pytest.raises(ValueError, match=r"Own returns a dict; let its forward return the logits"):
        own(images(own, 2))


def test_two_layers_with_one_weight_are_refused_and_one_by_two_names_is_not() -> None:
    with pytest.raises(ValueError, match=r"conv2\.weight and conv3\.weight are one tensor; give each layer"):
        network(NAME, kind="tied")
    assert "conv2" in network(NAME, kind="twice").filters()


def test_frozen_layers_are_scored_and_stay_frozen() -> None:
    own = network(NAME, kind="without_gradient")
    batches = [(images(own, 6), torch.arange(6))]
    found = gradients(own, batches)
    Damping(own)
    assert not own.weight("conv2").requires_grad
    plain = network(NAME)
    assert found.keys() == plain.filters().keys()
    for name, gradient in gradients(plain, batches).items():
        assert torch.equal(found[name], gradient)
