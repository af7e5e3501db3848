"""Who the distillers follow: one network, several, one from elsewhere; a teacher that only guesses is refused."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.distillation.building import distilled
from lib.distillation.classifier import share_classifier_
from lib.distillation.teachers import load
from lib.formats.checkpoint import Checkpoint, save
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.params.suite import Given
from lib.steps.guide import assemble
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


@pytest.mark.parametrize("notes", [{"validation_top1": 10.0}, {}])
def test_a_random_teacher_is_refused_by_its_note_or_by_measuring(setting: Setting, tmp_path: Path, notes: Any) -> None:
    path = teacher(tmp_path / "random.safetensors", setting, notes=notes)
    with pytest.raises(ValueError, match=r"random.safetensors: this teacher reaches .* guessing reaches 10\.0 %"):
        load(path, setting)


def test_a_note_about_other_data_is_not_believed(setting: Setting, tmp_path: Path) -> None:
    path = teacher(tmp_path / "elsewhere.safetensors", setting, mean=(0.5,))
    with pytest.raises(ValueError, match=r"elsewhere.safetensors: this teacher reaches .* guessing"):
        load(path, setting)


def test_one_teacher_is_its_network(setting: Setting, tmp_path: Path) -> None:
    path = teacher(tmp_path / "resnet8.safetensors", setting)
    assemble(("resnet8",), tmp_path, setting, tmp_path / "guide")
    for source in (path, tmp_path / "guide"):
        found = load(source, setting)
        assert isinstance(found, Network)
        assert torch.equal(found(images(setting)), lived_in("resnet8", 0, in_channels=1)(images(setting)))


def test_the_logits_of_several_are_averaged_and_another_assembly_replaces_them(setting: Setting, tmp_path: Path) -> None:
    teacher(tmp_path / "resnet8.safetensors", setting, 1)
    teacher(tmp_path / "resnet20.safetensors", setting, 2, "resnet20")
    given = teacher(tmp_path / "far/given.safetensors", setting, 3, "resnet14")
    teachers = ("resnet20", "resnet8", Given(str(given), sha256(given)))
    assemble(teachers, tmp_path, setting, tmp_path / "guide")
    found = load(tmp_path / "guide", setting)
    assert isinstance(found, Ensemble)
    assert found.name == "the ensemble of resnet20, resnet8, resnet14"
    seen = images(setting)
    alone = [lived_in(name, seed, in_channels=1)(seen) for seed, name in ((1, "resnet8"), (2, "resnet20"), (3, "resnet14"))]
    with torch.no_grad():
        assert torch.allclose(found(seen), sum(alone, torch.zeros(6, 10)) / 3, atol=1e-6)
    assemble(("resnet8",), tmp_path, setting, tmp_path / "guide")
    assert isinstance(load(tmp_path / "guide", setting), Network)


def test_another_file_than_described_is_refused(setting: Setting, tmp_path: Path) -> None:
    path = teacher(tmp_path / "given.safetensors", setting)
    with pytest.raises(ValueError, match=f"given.safetensors has sha256 {sha256(path)}, not {'0' * 64}"):
        assemble((Given(str(path), "0" * 64),), tmp_path, setting, tmp_path / "guide")
    with pytest.raises(ValueError, match=r"distill.teachers: gone.safetensors is not there"):
        assemble((Given("gone.safetensors", "0" * 64),), tmp_path, setting, tmp_path / "guide")
    with pytest.raises(ValueError, match="guide holds no teacher; run the guide stage"):
        load(tmp_path / "guide", setting)
    with pytest.raises(ValueError, match=r"resnet44.safetensors is not there; train resnet44 first"):
        assemble(("resnet44",), tmp_path, setting, tmp_path / "guide")


def test_assembling_removes_checkpoints_only(setting: Setting, tmp_path: Path) -> None:
    teacher(tmp_path / "resnet8.safetensors", setting)
    (tmp_path / "guide").mkdir()
    for name in ("old.safetensors", "thesis.txt"):
        (tmp_path / "guide" / name).touch()
    assemble(("resnet8",), tmp_path, setting, tmp_path / "guide")
    assert sorted(path.name for path in (tmp_path / "guide").iterdir()) == ["00-resnet8.safetensors", "thesis.txt"]


def test_a_teacher_of_other_images_is_refused(setting: Setting, tmp_path: Path) -> None:
    path = tmp_path / "colour.safetensors"
    save(path, Checkpoint(lived_in("resnet8"), None, (3, 8, 8), (0.5,) * 3, (0.5,) * 3, TRAINED))
    said = "takes images of 3 channels and tells 10 classes apart, but the data set digits has 1 and 10"
    with pytest.raises(ValueError, match=said):
        load(path, setting)


def test_a_teacher_from_elsewhere_sees_images_as_it_was_trained(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.distillation.teachers.TIMES_CHANCE", 0.0)
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
