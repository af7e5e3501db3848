"""What a teacher said of mini-batches is asked once for all distillations of a seed, and changes no bit of them."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.distillation import answers
from lib.distillation.answers import GIB, Answers, filed
from lib.networks.network import Network
from lib.steps.distill import distill
from lib.training.resume import OUTDATED_DAYS
from lib.training.run import setting
from lib.training.taps import Tapped
from tests import interrupted
from tests.networks_for_tests import lived_in

IMAGES = torch.randn(3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def teacher() -> Tapped:
    return Tapped(lived_in("resnet8").eval())


def _distilled(folder: Path, own: str, seed: int = 0, **changes: Any) -> tuple[bytes, str]:
    """The network and the log of a distillation of kd, whose scratch files are in folder/own."""
    given = interrupted.document(**changes)
    here = setting(given, folder / "data", seed, folder / own / "scratch")
    out, log = folder / own / "out.safetensors", folder / own / "out.csv"
    distill(given, "kd", folder / "pruned.safetensors", folder / "teacher.safetensors", here, out, log)
    return out.read_bytes(), log.read_text()


def test_distillations_of_a_seed_ask_the_teacher_once_and_end_in_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted.prepare(tmp_path)
    alone = _distilled(tmp_path, "alone", running__answers_gib=None)
    asked = list[int]()
    real = Network.forward

    def noted(network: Network, images: torch.Tensor) -> torch.Tensor:
        if network.architecture.name == "vgg11":
            asked.append(len(images))
        return real(network, images)

    monkeypatch.setattr(Network, "forward", noted)
    assert _distilled(tmp_path, "shared") == alone
    steps = interrupted.EPOCHS * interrupted.STEPS
    assert asked == [2] + [8] * steps  # an example first, to see shapes
    assert _distilled(tmp_path, "shared") == alone
    assert asked == [2] + [8] * steps + [2]
    assert _distilled(tmp_path, "shared", seed=1) != alone
    assert asked == [2] + [8] * steps + [2, 2] + [8] * steps


def test_another_teacher_and_other_arithmetic_are_asked_anew(tmp_path: Path) -> None:
    interrupted.prepare(tmp_path)
    folders = set[Path]()
    for seed, precision in ((0, "float32"), (0, "float32"), (1, "float32"), (0, "bfloat16")):
        here = setting(interrupted.document(compute__precision=precision), tmp_path / "data", 0, tmp_path / "scratch")
        made = filed(Tapped(lived_in("resnet8", seed)), here, 1.0)
        assert isinstance(made, Answers)
        folders.add(made.folder)
    assert len(folders) == 3


def test_terms_that_look_inside_compute_each_time(tmp_path: Path) -> None:
    interrupted.prepare(tmp_path)
    here = setting(interrupted.document(), tmp_path / "data", 0, tmp_path / "scratch")
    assert filed(Tapped(lived_in("resnet8"), ("stage1",)), here, 1.0) is None


def test_an_answer_of_which_a_part_is_left_is_asked_again(teacher: Tapped, tmp_path: Path) -> None:
    asking = Answers(teacher, tmp_path, GIB)
    expected = asking(IMAGES[0]).logits
    (file,) = tmp_path.glob("*/*")
    whole = file.read_bytes()
    for content in (b"", whole[:-1], whole[:-1] + b"?"):
        file.write_bytes(content)
        assert torch.equal(asking(IMAGES[0]).logits, expected)
        assert file.read_bytes() == whole


def test_what_finds_no_room_is_computed_and_told_once(
    teacher: Tapped, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Answers(teacher, tmp_path / "one", GIB)(IMAGES[0])
    asking = Answers(teacher, tmp_path / "two", answers._bytes(tmp_path))
    for _ in range(2):
        for images in IMAGES:
            assert torch.equal(asking(images).logits, teacher(images).logits)
    assert len(list((tmp_path / "two").glob("*/*"))) == 1
    assert [message for message in caplog.messages if "running.answers_gib" in message] == [caplog.messages[0]]


def test_answers_that_nobody_asked_for_in_weeks_go(tmp_path: Path) -> None:
    interrupted.prepare(tmp_path)
    here = setting(interrupted.document(), tmp_path / "data", 0, tmp_path / "scratch")
    for name, days in (("old", OUTDATED_DAYS + 1), ("young", OUTDATED_DAYS - 1)):
        folder = tmp_path / "scratch" / answers.FOLDER / name / "00"
        folder.mkdir(parents=True)
        then = folder.stat().st_mtime - days * 24 * 3600
        (folder / "gone").symlink_to("nowhere")  # as what another process removes between two looks
        os.utime(folder.parent, (then, then))
    (tmp_path / "scratch" / answers.FOLDER / "gone").symlink_to("nowhere")
    made = filed(Tapped(lived_in("resnet8")), here, 1.0)
    assert isinstance(made, Answers)
    assert {path.name for path in made.folder.parent.iterdir()} == {"young", "gone", made.folder.name}
