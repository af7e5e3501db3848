"""What stages find by name: right for a suite, and refused by name where it is not there."""

from typing import Any

import pytest

from lib.graph.uses import uses
from lib.params.named import FAMILIES
from tests import tiny

MODULES = {f"lib.distillation.terms.{name}" for name in tiny.document()["distill"]["terms"]} | {"lib.pruning.methods.l1"}


def test_a_teacher_from_elsewhere_may_be_of_any_family() -> None:
    document = tiny.document(distill__teachers=[{"file": "a", "sha256": 64 * "0"}, "resnet20"])
    families = {f"lib.networks.{family}" for family in FAMILIES.values()}
    found = uses(document, MODULES)
    assert found["guide"].plugins == families
    assert found["distill/kd"].plugins == {*families, "lib.distillation.terms.kd"}
    assert found["distill/none"].plugins == {"lib.networks.resnet"}


def test_who_shares_a_classifier_has_a_teacher_without_any_term() -> None:
    document = tiny.document(benchmark__network="vgg11", benchmark__trained=["vgg11", "resnet20"])
    document["distill"]["distillers"]["shared"] = {"terms": {}, "share_classifier": True}
    found = uses(document, MODULES)
    assert found["distill/shared"].plugins == {"lib.networks.vgg", "lib.networks.resnet"}
    assert found["distill/none"].plugins == {"lib.networks.vgg"}
    assert found["prune/l1"].plugins == {"lib.networks.vgg", "lib.pruning.methods.l1"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"benchmark__network": "resnet9"}, "^benchmark.network: no network is called 'resnet9'; there are: resnet8, "),
        ({"benchmark__trained": ["vgg12"]}, "^benchmark.trained: no network is called 'vgg12'; there are: "),
        ({"distill__teachers": ["vgg12"]}, "^distill.teachers: no network is called 'vgg12'; there are: "),
        (
            {"distill__distillers__kd": {"terms": {"dk": 1.0}, "share_classifier": False}},
            "^distill.distillers.kd.terms: has 'dk', which is not there; allowed: afd, asp, at, feature, ",
        ),
        ({"prune__methods__l1__guide": {"dk": 1.0}}, "^prune.methods.l1.guide: has 'dk', which is not there; allowed: afd, "),
        ({"prune__methods__l1__guide": [1]}, r"^prune.methods.l1.guide: is \[1\]; "),
        ({"prune__methods": None}, "^prune.methods: is None; "),
        (
            {"distill__distillers": {"../up": {}}},
            "^'distill.distillers.../up': this name becomes that of files; use 1 to 64 of ",
        ),
        ({"distill__distillers": {"a\x1b" * 99: {}}}, r"^'distill.distillers.a\\x1b.{0,200}$"),
    ],
)
def test_what_is_not_there_is_named_with_who_asks_for_it(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        uses(tiny.document(**changes), MODULES)


def test_networks_that_are_no_mapping_are_left_to_the_check() -> None:
    with pytest.raises(ValueError, match=r"benchmark\.network: no network is called 'mine'; there are: resnet8, "):
        uses(tiny.document(networks=[{"name": "mine"}], benchmark__network="mine"), MODULES)


def test_a_network_of_the_users_own_brings_its_code_and_its_settings() -> None:
    own = {"builder": "my_network:make", "arguments": {"width": 8}, "weights": None}
    others = {"builder": "torchvision:mobilenet_v2", "arguments": {}, "weights": None}
    document = tiny.document(networks={"mine": own, "theirs": others}, benchmark__network="mine")
    document["benchmark"]["trained"] = ["mine", "theirs", "resnet20"]
    found = uses(document, MODULES)
    assert found["train_teacher/mine"].plugins == {"my_network"}
    assert found["train_teacher/mine"].networks == {"mine"}
    assert found["train_teacher/theirs"].plugins == frozenset()
    assert found["train_teacher/theirs"].networks == {"theirs"}
    assert found["train_teacher/resnet20"].networks == frozenset()
    assert found["prune/l1"].plugins == {"my_network", "lib.pruning.methods.l1"}
