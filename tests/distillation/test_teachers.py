"""Who the distillers follow: one network, several, one from elsewhere; a teacher that only guesses is refused."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.distillation.building import distilled
from lib.distillation.classifier import share_classifier_
from lib.distillation.teachers import load, refuse_weak, surely_above
from lib.formats.checkpoint import Checkpoint, save
from lib.images.dataset import Split
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.params.suite import Given
from lib.steps.guide import assemble
from lib.training.evaluation import Scores
from lib.training.run import Setting
from tests import tiny
from tests.networks_for_tests import lived_in

TERMS: dict[str, dict[str, Any]] = {"kd": {"temperature": 4.0}, "hap": {"teacher_blocks": 2}, "at": {}}
TRAINED = {"validation_top1": 90.0}


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("guidance")
    tiny.digits(folder)
    return tiny.here(tiny.document(), folder)


def teacher(path: Path, setting: Setting, seed: int = 0, name: str = "resnet8", **changes: Any) -> Path:
    """A checkpoint that claims to be trained on the setting's data."""
    data = setting.dataset
    given = {"notes": TRAINED, "mean": data.mean, "std": data.std, **changes}
    save(path, Checkpoint(lived_in(name, seed, in_channels=data.shape[0]), None, data.shape, **given))
    return path


def images(setting: Setting, count: int = 6) -> torch.Tensor:
    return next(setting.batches("validation", setting.augmentation).plain(count))[0]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def constant(setting: Setting, path: Path, label: int) -> Path:
    """A teacher that always says the same, and claims otherwise."""
    network = lived_in("resnet8", in_channels=setting.dataset.shape[0])
    with torch.no_grad():
        network.get_parameter("classifier.weight").zero_()
        network.get_parameter("classifier.bias").copy_(torch.eye(10)[label])
    data = setting.dataset
    save(path, Checkpoint(network, None, data.shape, data.mean, data.std, TRAINED))
    return path


def with_validation(setting: Setting, *counts: int) -> Setting:
    """The setting with so many validation images of each class; which they show does not matter."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    pixels = setting.dataset.splits["validation"].images[:1].repeat(len(labels), 1, 1, 1)
    splits = {**setting.dataset.splits, "validation": Split(pixels, labels)}
    return replace(setting, dataset=replace(setting.dataset, splits=splits))


def test_a_random_teacher_is_measured_and_refused_with_the_figures(setting: Setting, tmp_path: Path) -> None:
    path = teacher(tmp_path / "random.safetensors", setting)  # its note claims 90 %
    said = (
        r"random.safetensors: this teacher reaches \d+\.\d % on the 143 validation images, 10\.5 % of which are of one class;"
    )
    with pytest.raises(ValueError, match=rf"{said} at least 19\.6 % would show that it knows more; train it longer, give"):
        refuse_weak(path, setting)


def test_a_constant_answer_on_uneven_classes_is_refused(setting: Setting, tmp_path: Path) -> None:
    path, uneven = constant(setting, tmp_path / "constant.safetensors", 0), with_validation(setting, 900, 100)
    with pytest.raises(ValueError, match=r"reaches 90\.0 % on the 1,000 .* 90\.0 % of which .* at least 92\.9 % would show"):
        refuse_weak(path, uneven)


def test_what_beats_the_commonest_class_by_more_than_chance_passes(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, halves = constant(setting, tmp_path / "one.safetensors", 0), with_validation(setting, 500, 500)
    for top1, passes in ((65.0, True), (55.0, True), (54.9, False), (50.0, False), (10.0, False)):
        monkeypatch.setattr("lib.distillation.teachers.evaluate", lambda *_, top1=top1: Scores(top1, 100.0, 1.0))
        if passes:
            refuse_weak(path, halves)
        else:
            with pytest.raises(ValueError, match=r"at least 55\.0 % would show"):
                refuse_weak(path, halves)


def test_a_validation_split_too_small_to_tell_says_so(setting: Setting, tmp_path: Path) -> None:
    path, few = constant(setting, tmp_path / "one.safetensors", 0), with_validation(setting, 2, 1)
    said = r"on the 3 validation images, .* raise data.validation_fraction, or set distill.allow_weak_teachers: true$"
    with pytest.raises(ValueError, match=said):
        refuse_weak(path, few)


def test_a_weak_teacher_may_be_allowed(setting: Setting, tmp_path: Path) -> None:
    teacher(tmp_path / "resnet8.safetensors", setting)
    assemble(("resnet8",), tmp_path, setting, tmp_path / "guide", allow_weak=True)
    with pytest.raises(ValueError, match="would show that it knows more"):
        assemble(("resnet8",), tmp_path, setting, tmp_path / "guide", allow_weak=False)


@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("count", [1, 3, 143, 5000])
def test_the_bound_is_that_of_the_binomial_distribution(share: float, count: int) -> None:
    from scipy.stats import binom

    found = surely_above(share, count)
    assert binom.sf(found - 1, count, share) <= 1e-3 < binom.sf(found - 2, count, share)


def test_one_teacher_is_its_network(setting: Setting, tmp_path: Path) -> None:
    path = teacher(tmp_path / "resnet8.safetensors", setting)
    assemble(("resnet8",), tmp_path, setting, tmp_path / "guide", allow_weak=True)
    for source in (path, tmp_path / "guide"):
        found = load(source, setting)
        assert isinstance(found, Network)
        assert torch.equal(found(images(setting)), lived_in("resnet8", 0, in_channels=1)(images(setting)))


def test_the_logits_of_several_are_averaged_and_another_assembly_replaces_them(setting: Setting, tmp_path: Path) -> None:
    teacher(tmp_path / "resnet8.safetensors", setting, 1)
    teacher(tmp_path / "resnet20.safetensors", setting, 2, "resnet20")
    given = teacher(tmp_path / "far/given.safetensors", setting, 3, "resnet14")
    teachers = ("resnet20", "resnet8", Given(str(given), sha256(given)))
    assemble(teachers, tmp_path, setting, tmp_path / "guide", allow_weak=True)
    found = load(tmp_path / "guide", setting)
    assert isinstance(found, Ensemble)
    assert found.name == "the ensemble of resnet20, resnet8, resnet14"
    seen = images(setting)
    alone = [lived_in(name, seed, in_channels=1)(seen) for seed, name in ((1, "resnet8"), (2, "resnet20"), (3, "resnet14"))]
    with torch.no_grad():
        assert torch.allclose(found(seen), sum(alone, torch.zeros(6, 10)) / 3, atol=1e-6)
    assemble(("resnet8",), tmp_path, setting, tmp_path / "guide", allow_weak=True)
    assert isinstance(load(tmp_path / "guide", setting), Network)


def test_another_file_than_described_is_refused(setting: Setting, tmp_path: Path) -> None:
    path = teacher(tmp_path / "given.safetensors", setting)
    with pytest.raises(ValueError, match=f"given.safetensors has sha256 {sha256(path)}, not {'0' * 64}"):
        assemble((Given(str(path), "0" * 64),), tmp_path, setting, tmp_path / "guide", allow_weak=True)
    with pytest.raises(ValueError, match=r"distill.teachers: gone.safetensors is not there"):
        assemble((Given("gone.safetensors", "0" * 64),), tmp_path, setting, tmp_path / "guide", allow_weak=True)
    with pytest.raises(ValueError, match="guide holds no teacher; run the guide stage"):
        load(tmp_path / "guide", setting)
    with pytest.raises(ValueError, match=r"resnet44.safetensors is not there; train resnet44 first"):
        assemble(("resnet44",), tmp_path, setting, tmp_path / "guide", allow_weak=True)


@pytest.mark.parametrize("name", ["far.ckpt", "far", "far.pt"])
def test_a_teacher_may_have_any_file_name(setting: Setting, tmp_path: Path, name: str) -> None:
    """It was copied under its own name, and looked for as .safetensors."""
    here = teacher(tmp_path / name, setting, 1)
    near = teacher(tmp_path / "resnet8.safetensors", setting, 2)
    out = tmp_path / "guide"
    assemble((Given(file=str(here), sha256=sha256(here)),), tmp_path, setting, out, allow_weak=True)
    alone = load(out, setting)
    assert isinstance(alone, Network)
    assert torch.equal(alone.weight("conv1"), lived_in("resnet8", 1, in_channels=1).weight("conv1"))
    assemble(("resnet8", Given(file=str(here), sha256=sha256(here))), tmp_path, setting, out, allow_weak=True)
    assert isinstance(load(out, setting), Ensemble)
    assert near.is_file()


def test_a_teacher_that_cannot_take_images_of_this_size_is_named(setting: Setting, tmp_path: Path) -> None:
    network = lived_in("vgg11", in_channels=1)
    far = tmp_path / "far.safetensors"
    save(far, Checkpoint(network, None, network.architecture.shape, (0.5,), (0.5,), TRAINED))
    with pytest.raises(ValueError, match=r"far\.safetensors is of images of 1x32x32 and cannot take those of 1x8x8 \(Value"):
        load(far, setting)


def test_assembling_removes_checkpoints_only(setting: Setting, tmp_path: Path) -> None:
    teacher(tmp_path / "resnet8.safetensors", setting)
    (tmp_path / "guide").mkdir()
    for name in ("old.safetensors", "thesis.txt"):
        (tmp_path / "guide" / name).touch()
    assemble(("resnet8",), tmp_path, setting, tmp_path / "guide", allow_weak=True)
    assert sorted(path.name for path in (tmp_path / "guide").iterdir()) == ["00-resnet8.safetensors", "thesis.txt"]


def test_a_teacher_of_other_images_is_refused(setting: Setting, tmp_path: Path) -> None:
    path = tmp_path / "colour.safetensors"
    save(path, Checkpoint(lived_in("resnet8"), None, (3, 8, 8), (0.5,) * 3, (0.5,) * 3, TRAINED))
    said = "colour.safetensors is for images of 3x8x8 in 10 classes, digits has images of 1x8x8 in 10 classes"
    with pytest.raises(ValueError, match=said):
        load(path, setting)


def test_a_teacher_from_elsewhere_sees_images_as_it_was_trained(setting: Setting, tmp_path: Path) -> None:
    path = teacher(tmp_path / "elsewhere.safetensors", setting, mean=(0.2,), std=(0.7,))
    ours, data = images(setting), setting.dataset
    pixels = ours * data.std[0] + data.mean[0]
    expected = lived_in("resnet8", 0, in_channels=1)((pixels - 0.2) / 0.7)
    found = load(path, setting)
    assert {"input_scale", "input_shift"} <= found.state_dict().keys()  # what a resumed training knows its teacher by
    with torch.no_grad():
        assert torch.allclose(found(ours), expected, atol=1e-5)
        assert not torch.allclose(lived_in("resnet8", 0, in_channels=1)(ours), expected, atol=1e-2)


def test_an_ensemble_has_no_features_and_no_one_classifier() -> None:
    ensemble = Ensemble([lived_in("resnet8", 1), lived_in("resnet20", 2)])
    student, example = lived_in("resnet8"), torch.zeros(2, 3, 8, 8)
    objective = distilled(student, ensemble, {"kd": 1.0}, TERMS, 0.0, example)
    losses = objective(torch.randn(4, 3, 8, 8), torch.arange(4))
    assert losses.parts["kd"] > 0
    assert not any(parameter.requires_grad for parameter in ensemble.parameters())
    for name in ("hap", "at"):
        with pytest.raises(ValueError, match=f"{name} looks inside the teacher, and the ensemble of resnet8, resnet20 has"):
            distilled(student, ensemble, {name: 1.0}, TERMS, 0.0, example)
    with pytest.raises(ValueError, match="share_classifier copies one teacher's classifier, but the ensemble of"):
        share_classifier_(student, ensemble)
