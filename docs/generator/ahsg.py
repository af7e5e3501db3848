"""The page that asks whether the acceleration of AHSG-HT helps: every heavy ball under every other setting."""

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from docs.generator import openings
from docs.generator.markdown import NOTE, table
from docs.generator.recipe import FALLING, Part
from lib.tables.comparisons import EQUAL, LEVEL, holm, interval, readable

MEASURED = Path("docs/measured/ahsg.json")
SEEDS = 2
BALLS = (0.0, 0.1, 0.3)
GROWING = {"kind": "linear-reset", "start": 64, "increment": 4, "cap": 128, "last": "merge"}
FIXED = {"kind": "constant", "size": 128, "last": "merge"}
BATCHES = {"growing": GROWING, "fixed": FIXED}
COMMON = {
    "benchmark.distillers": ["none"],
    "distill.training.epochs": 1,
    "distill.training.lr": 0.05,
    "distill.training.schedule": FALLING,
    "prune.training.epochs": 2,
    "prune.training.lr": 0.05,
    "prune.methods.ahsg_ht.warmup_epochs": 0,
}
OTHERS = tuple(itertools.product(("sgd", "paper"), BATCHES, (False, True)))  # variant, mini-batches, mask_momentum

BALL = "heavy ball"
BETTER, WORSE, NO_EFFECT, UNKNOWN = "better", "worse", "no effect shows", "not measured"

Key = tuple[str, int]  # the name of a setting, and the seed


class Effect(NamedTuple):
    """What a choice changes, in points of each pair, and p by Student's t, corrected for the number of questions."""

    question: str
    differences: tuple[float, ...]
    p: float

    @property
    def mean(self) -> float:
        """Of the differences."""
        return float(np.mean(self.differences))

    @property
    def answer(self) -> str:
        """In words."""
        if len(self.differences) <= 1:
            return UNKNOWN
        return NO_EFFECT if not self.p < LEVEL else BETTER if self.mean > 0 else WORSE

    @property
    def told(self) -> str:
        """Of an effect that shows."""
        return f"{self.question} is {self.answer} ({self.mean:+.2f} points)"


def name(ball: float, variant: str, batches: str, mask: bool) -> str:
    """Of one setting."""
    return f"{variant}, {batches}, {'masked' if mask else 'unmasked'} momentum, heavy ball {ball}"


def _part(ball: float, variant: str, batches: str, mask: bool) -> Part:
    own = {"heavy_ball": ball, "variant": variant, "batches": BATCHES[batches], "mask_momentum": mask}
    changes = {f"prune.methods.ahsg_ht.{key}": value for key, value in own.items()}
    return Part(name(ball, variant, batches, mask), "", COMMON | changes, "ahsg_ht")


# Those that do not mask momentum come first: masking it is the last thing to know.
PARTS = tuple(_part(ball, *other) for other in sorted(OTHERS, key=lambda other: other[2]) for ball in BALLS)


def page(root: Path) -> str:
    """The whole page."""
    rows = json.loads((root / MEASURED).read_text())
    wanted = len(PARTS) * SEEDS
    scores = {(row["part"], row["seed"]): row["validation_top1"] for row in rows}
    seeds = sorted({seed for _, seed in scores})
    found = effects(scores, seeds, {(row["part"], row["seed"]): row["right"] for row in rows})
    parts = [
        NOTE.format(source=MEASURED.as_posix()),
        openings.AHSG.format(
            thresholding=COMMON["prune.training.epochs"],
            held=COMMON["distill.training.epochs"],
            precisions=_listed(rows, "precision"),
            machines=_listed(rows, "machine"),
            verdict=verdict(found),
            lacking="" if len(rows) >= wanted else openings.AHSG_LACKING.format(done=len(rows), all=wanted),
        ),
        effects_table(found),
        masking(rows),
        openings.AHSG_SETTINGS.format(seeds=", ".join(map(str, seeds)), images=rows[0]["images"]),
        settings(scores, seeds),
    ]
    return "\n\n".join(parts) + "\n"


def _listed(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    return "; ".join(sorted({row[key] for row in rows}))


def masking(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether it changes anything that momentum is masked: image by image."""
    right = {(row["part"], row["seed"]): row["right"] for row in rows}
    keys = [
        tuple((name(ball, *other, mask=mask), seed) for mask in (False, True))
        for ball in BALLS
        for other in dict.fromkeys(other[:2] for other in OTHERS)
        for seed in sorted({row["seed"] for row in rows})
    ]
    pairs = [(right[one], right[two]) for one, two in keys if one in right and two in right]
    return openings.AHSG_MASKING.format(pairs=len(pairs), same=sum(one == two for one, two in pairs))


def effects(scores: Mapping[Key, float], seeds: Sequence[int], right: Mapping[Key, str]) -> list[Effect]:
    """One a question: what one choice changes, everything else and the seed being equal.

    right: which images each is right on; pairs that agree on every image with an earlier pair count no second time.
    """

    def differences(pairs: Iterable[tuple[Key, Key]]) -> tuple[float, ...]:
        there = [(one, two) for one, two in pairs if one in scores and two in scores]
        return tuple({(right[one], right[two]): scores[one] - scores[two] for one, two in there}.values())

    questions = [
        *((f"{BALL} {ball} instead of 0", _balls(seeds, ball, OTHERS)) for ball in BALLS[1:]),
        *(
            (
                f"{BALL} {ball} instead of 0, variant {variant}",
                _balls(seeds, ball, [other for other in OTHERS if other[0] == variant]),
            )
            for variant in ("sgd", "paper")
            for ball in BALLS[1:]
        ),
        ("growing mini-batches instead of fixed ones", _swapped(seeds, 1, "growing", "fixed")),
        ("variant sgd instead of paper", _swapped(seeds, 0, "sgd", "paper")),
    ]
    asked = [(question, differences(pairs)) for question, pairs in questions]
    measured = [own for _, own in asked if len(own) > 1]
    corrected = iter(holm([_p(own) for own in measured]))
    return [Effect(question, own, next(corrected) if len(own) > 1 else math.nan) for question, own in asked]


def _p(differences: Sequence[float]) -> float:
    """That their mean is 0, by Student's t; 1 for equal ones, which do not tell what chance does."""
    return 1.0 if np.ptp(differences) < EQUAL else float(stats.ttest_1samp(differences, 0.0).pvalue)


def verdict(found: Sequence[Effect]) -> str:
    """The answer to the question of the page, and what else shows."""
    balls = [effect for effect in found if effect.question.startswith(BALL) and effect.answer != UNKNOWN]
    if not balls:
        return openings.AHSG_NOT_YET
    helps = [effect.told for effect in balls if effect.answer == BETTER]
    others = [effect.told for effect in found if effect.answer in (BETTER, WORSE) and effect.told not in helps]
    least = f"{min(effect.p for effect in balls):.2f}"
    no = openings.AHSG_NO.format(comparisons=len(balls), least=least)
    answer = openings.AHSG_YES.format(what="; ".join(helps)) if helps else no
    return f"{answer} {openings.AHSG_ELSE.format(what='; '.join(others)) if others else openings.AHSG_NOTHING_ELSE}"


def effects_table(found: Sequence[Effect]) -> str:
    """A row an effect."""
    heads = ("Choice", "Pairs", "Δ validation top-1", "95 %", "p (Holm)", "Answer")
    return table(heads, [_row(effect) for effect in found])


def _row(effect: Effect) -> list[str]:
    start, end = [effect.question, str(len(effect.differences))], [effect.answer]
    if effect.answer == UNKNOWN:
        return [*start, "", "", "", *end]
    low, high = interval(effect.differences)
    between = "" if math.isnan(low) else f"{low:+.2f} to {high:+.2f}"
    return [*start, f"{effect.mean:+z.2f}", between, readable(effect.p, 3, "f"), *end]


def settings(scores: Mapping[Key, float], seeds: Sequence[int]) -> str:
    """A row a setting of everything else, a column a heavy ball: means over seeds, and how many where some are missing."""

    def mean(own: Sequence[float]) -> str:
        return f"{np.mean(own):.2f}{'' if len(own) == len(seeds) else f' ({len(own)} of {len(seeds)})'}" if own else ""

    body = []
    for variant, batches, mask in OTHERS:
        found = [
            [scores[key] for seed in seeds if (key := (name(ball, variant, batches, mask), seed)) in scores] for ball in BALLS
        ]
        body.append([variant, batches, "yes" if mask else "no", *map(mean, found)])
    return table(("Variant", "Mini-batches", "Momentum masked", *(f"Heavy ball {ball}" for ball in BALLS)), body)


def _balls(seeds: Sequence[int], ball: float, others: Sequence[Any]) -> list[tuple[Key, Key]]:
    return [((name(ball, *other), seed), (name(0.0, *other), seed)) for other in others for seed in seeds]


def _swapped(seeds: Sequence[int], place: int, one: Any, two: Any) -> list[tuple[Key, Key]]:
    """Settings that are equal but for one place of OTHERS."""
    found = []
    for other in OTHERS:
        if other[place] == one:
            swapped: Any = tuple(two if index == place else value for index, value in enumerate(other))
            found += [((name(ball, *other), seed), (name(ball, *swapped), seed)) for ball in BALLS for seed in seeds]
    return found
