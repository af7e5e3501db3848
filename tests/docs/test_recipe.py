"""The recipe's page: gains that can be worked out by hand, and a bench that does each training once."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench import parts as bench
from docs.generator import ahsg, recipe
from docs.generator.recipe import PRUNED, TRAINED, Part
from lib.steps.document import check
from lib.steps.train_teacher import teach
from tests import tiny

IMAGES = 20


def _row(part: str, seed: int, right: int) -> dict[str, Any]:
    """The first images are told right."""
    bits = b64encode(np.packbits(np.arange(IMAGES) < right).tobytes()).decode()
    fixed = {"stage": "trained", "epochs": 8, "images": IMAGES, "validation_top1": 100.0 * right / IMAGES}
    return {**fixed, "part": part, "seed": seed, "right": bits}


def test_a_gain_is_the_mean_of_differences_paired_by_seed() -> None:
    rows = [_row("plain", 0, 10), _row("plain", 1, 12), _row("EMA", 0, 18), _row("EMA", 1, 18), _row("SWA", 0, 10)]
    text = recipe.gains(rows, TRAINED)
    (ema,) = [line for line in text.splitlines() if line.startswith("| EMA ")]
    # +8 and +6 images of 20: 35 points. They are 8 images, and all are better: p = 2 / 2^8, one of two comparisons.
    assert "| 2 | 90.00 | +35.00 |" in ema
    assert "| 0.016 |" in ema
    (swa,) = [line for line in text.splitlines() if line.startswith("| SWA ")]
    assert "| 1 | 50.00 | +0.00 |  | 1.000 |" in swa
    assert "cosine" not in text


def test_a_part_whose_seeds_have_no_plain_partner_has_no_gain() -> None:
    assert "| 1 | 90.00 |  |  |  |" in recipe.gains([_row("plain", 0, 10), _row("EMA", 1, 18)], TRAINED)


def test_the_verdict_names_what_differs_and_how_small_a_difference_can_be_told() -> None:
    rows = [_row("plain", 0, 10), _row("plain", 1, 12), _row("EMA", 0, 18), _row("EMA", 1, 18), _row("SWA", 0, 10)]
    # The median spread is 13 (EMA 6 images twice and 2 once, SWA 0) of 30 images (40 and 20). For p below 0.05 / 2 it takes 11
    # of 13 on one side.
    told = "A difference below about 30.0 points is too small for this table to tell."
    assert recipe.verdict(rows, TRAINED) == f"Different from plain: EMA (+35.00). {told}"
    assert recipe.verdict(rows[:1] + rows[4:], TRAINED).startswith("No part can be told apart from plain.")
    assert recipe.verdict(rows[:1], TRAINED) == ""


@pytest.mark.parametrize("part", [*TRAINED, *PRUNED, *ahsg.PARTS], ids=lambda part: part.name)
def test_every_part_is_a_parameter_file_that_is_right(part: Part) -> None:
    check(bench.changed(tiny.document(), part.changes))


def test_what_is_done_is_not_done_again_and_seeds_come_one_after_the_other() -> None:
    known = [_row(part.name, 0, 1) for part in TRAINED[:-1]]
    assert [(run.stage, run.part, run.seed) for run, _ in bench.missing(known, "recipe", 2)] == [
        ("trained", TRAINED[-1].name, 0),
        *(("pruned", part.name, 0) for part in PRUNED),
        *(("trained", part.name, 1) for part in TRAINED),
        *(("pruned", part.name, 1) for part in PRUNED),
    ]


def test_both_halves_train_on_real_data(tmp_path: Path) -> None:
    data, document = tiny.digits(tmp_path), tiny.document(benchmark__distillers=["none"])
    dense = tmp_path / "dense.safetensors"
    teach(document, "resnet8", tiny.here(document, tmp_path), tmp_path, dense, tmp_path / "dense.csv")
    rows = []
    for stage, part in (("trained", TRAINED[4]), ("pruned", PRUNED[2])):
        run = bench.Run(stage, part.name, 0)
        rows.append(bench.train(run, part, document, data, dense, tmp_path / "resume"))
    assert [row["images"] for row in rows] == [143, 143]
    assert "pruned_top1" in rows[1]
    for row in rows:
        assert 100.0 * recipe.right_of(row).mean() == pytest.approx(row["validation_top1"], abs=1e-3)
    (tmp_path / "docs/measured").mkdir(parents=True)
    (tmp_path / recipe.MEASURED).write_text(json.dumps(rows))
    text = recipe.page(tmp_path)
    assert "## Training from random weights" in text
    assert "## After pruning" in text


def test_the_effect_of_a_heavy_ball_is_the_mean_over_all_other_settings_and_seeds() -> None:
    """0.1 adds two points to variant sgd and takes one from paper; 0.3 is not measured; the rest changes nothing."""
    gains = {"sgd": 2.0, "paper": -1.0}
    scores = {
        (ahsg.name(ball, *other), seed): 80.0 + seed + (gains[other[0]] + 0.02 * (other[2] - 0.5)) * (ball > 0)
        for other in ahsg.OTHERS
        for ball in (0.0, 0.1)
        for seed in (0, 1)
    }
    found = ahsg.effects(scores, (0, 1), {key: str(key) for key in scores})
    lines = {line.split("|")[1].strip(): line for line in ahsg.effects_table(found).splitlines()}
    assert "| 16 | +0.50 |" in lines["heavy ball 0.1 instead of 0"]
    assert "| 8 | +2.00 |" in lines["heavy ball 0.1 instead of 0, variant sgd"]
    assert "better" in lines["heavy ball 0.1 instead of 0, variant sgd"]
    assert "worse" in lines["heavy ball 0.1 instead of 0, variant paper"]
    assert "not measured" in lines["heavy ball 0.3 instead of 0"]
    assert "| 16 | +0.00 |" in lines["growing mini-batches instead of fixed ones"]
    assert "| sgd | fixed | no | 80.50 | 82.49 |  |" in ahsg.settings(scores, (0, 1))
    told = ahsg.verdict(found)
    assert told.startswith(
        "**Yes, here:** heavy ball 0.1 instead of 0, variant sgd is better (+2.00 points). What else shows: "
    )
    assert "heavy ball 0.1 instead of 0, variant paper is worse (-1.00 points)" in told


def test_a_mean_over_fewer_seeds_says_so_and_nothing_is_answered_of_nothing() -> None:
    scores = {(ahsg.name(0.0, "sgd", "fixed", mask=False), seed): 80.0 + seed for seed in (0, 1)}
    scores[ahsg.name(0.1, "sgd", "fixed", mask=False), 0] = 82.0
    assert "| sgd | fixed | no | 80.50 | 82.00 (1 of 2) |  |" in ahsg.settings(scores, (0, 1))
    assert ahsg.verdict(ahsg.effects(scores, (0, 1), {key: str(key) for key in scores})).startswith("**Not measured yet:**")


def test_an_effect_that_one_test_alone_would_show_is_none_among_several() -> None:
    """Four questions have pairs. By itself the last has p = 0.035 (0.5, 1 and 0.75: t = 5.2 with 2 degrees of freedom)."""
    gains = {("sgd", 0): 0.5, ("sgd", 1): 1.0, ("sgd", 2): 0.75}
    scores = {
        (ahsg.name(ball, *other), seed): 80.0 + seed**2 + gains.get((other[0], seed), 0.0)
        for other in (("sgd", "fixed", False), ("paper", "fixed", False))
        for ball in (0.0, 0.1)
        for seed in (0, 1, 2)
    }
    found = ahsg.effects(scores, (0, 1, 2), {key: f"{key[0].replace('0.1', '0.0')} {key[1]}" for key in scores})
    last = found[-1]
    assert (last.question, last.differences) == ("variant sgd instead of paper", (0.5, 1.0, 0.75))
    assert last.p == pytest.approx(4 * stats.ttest_1samp((0.5, 1.0, 0.75), 0.0).pvalue)
    assert last.answer == "no effect shows"
    assert ahsg.verdict(found) == (
        "**It does not show:** no heavy ball is better than none, in any of 3 comparisons (smallest p: 1.00). "
        "Nothing else shows either."
    )


def test_equal_differences_tell_nothing_of_chance() -> None:
    keys = {(ahsg.name(ball, "sgd", "fixed", mask=False), seed): 80.0 + ball for ball in (0.0, 0.1) for seed in (0, 1)}
    first, *_ = found = ahsg.effects(keys, (0, 1), {key: str(key) for key in keys})
    assert (first.p, first.answer) == (1.0, "no effect shows")
    assert "| heavy ball 0.1 instead of 0 | 2 | +0.10 |  | 1.000 | no effect shows |" in ahsg.effects_table(found)


def test_trainings_of_other_lengths_and_precisions_are_not_mixed(tmp_path: Path) -> None:
    rows = [_row("plain", 0, 10) | {"precision": "float32"}]
    wanted = {"teacher": {"epochs": 8}, "compute": {"precision": "float32"}}
    bench._refuse_mixture(rows, wanted, tmp_path)
    for changes, said in (({"teacher": {"epochs": 6}}, "--epochs 8"), ({"compute": {"precision": "bfloat16"}}, "float32")):
        with pytest.raises(ValueError, match=f"holds trainings with .*{said}; go on with that, or move the file away"):
            bench._refuse_mixture(rows, wanted | changes, tmp_path)


@pytest.mark.parametrize(("study", "epochs", "precision"), [("recipe", 6, "bfloat16"), ("ahsg", 8, "float32")])
def test_the_committed_studies_go_on_as_the_pages_say(study: str, epochs: int, precision: str) -> None:
    file = Path(__file__).parents[2] / bench.FILES[study]
    document = {"teacher": {"epochs": epochs}, "compute": {"precision": precision}}
    bench._refuse_mixture(json.loads(file.read_text()), document, file)


def test_a_study_that_is_not_finished_says_so(tmp_path: Path) -> None:
    (tmp_path / ahsg.MEASURED).parent.mkdir(parents=True)
    rows = [
        {"part": part.name, "seed": seed, "validation_top1": 80.0, "images": 9, "precision": "float32", "machine": "a CPU"}
        | {"right": f"{part.name} {seed}"}
        for part in ahsg.PARTS
        for seed in range(ahsg.SEEDS)
    ]
    (tmp_path / ahsg.MEASURED).write_text(json.dumps(rows))
    assert "Measured in float32 on: a CPU.\n\nEach row" in ahsg.page(tmp_path)
    (tmp_path / ahsg.MEASURED).write_text(json.dumps(rows[:-5]))
    assert "a CPU.\n\n**Not finished:** 43 of 48 trainings are there. What" in ahsg.page(tmp_path)


def test_pairs_that_agree_on_every_image_count_once() -> None:
    """Masking momentum changed nothing: half of the pairs are the others again."""
    scores = {(part.name, 0): 80.0 + number**2 % 7 for number, part in enumerate(ahsg.PARTS)}
    right = {(name, seed): name.replace("unmasked", "masked") for name, seed in scores}
    first, *_ = ahsg.effects(scores, (0,), right)
    assert (first.question, len(first.differences)) == ("heavy ball 0.1 instead of 0", 4)
    rows = [{"part": name, "seed": 0, "right": bits} for (name, _), bits in right.items()]
    assert "of 12 pairs that differ in nothing else, 12 are right" in ahsg.masking(rows).replace("\n", " ")
    rows[0]["right"] = "others"
    assert "of 12 pairs that differ in nothing else, 11 are right" in ahsg.masking(rows).replace("\n", " ")
