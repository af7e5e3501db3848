"""A teacher that only guesses is refused before anything is distilled from it."""

from pathlib import Path

import pytest

from lib.checkpoint import Checkpoint
from lib.distillation.guidance import check_teacher
from lib.runs import Setting
from tests import tiny
from tests.networks_for_tests import lived_in


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("guidance")
    tiny.digits(folder)
    return tiny.here(tiny.document(), folder)


def teacher(**notes: float) -> Checkpoint:
    return Checkpoint(lived_in("resnet8", in_channels=1), None, (1, 8, 8), (0.5,), (0.5,), notes)


@pytest.mark.parametrize("notes", [{"validation_top1": 10.0}, {}])
def test_a_random_teacher_is_refused_by_its_note_or_by_measuring(setting: Setting, notes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"random.safetensors: this teacher reaches .* guessing reaches 10\.0 %"):
        check_teacher(teacher(**notes), Path("random.safetensors"), setting)


def test_a_trained_teacher_passes(setting: Setting) -> None:
    check_teacher(teacher(validation_top1=60.0), Path("trained.safetensors"), setting)
