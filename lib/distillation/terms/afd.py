"""AFD, attention-based feature distillation: learnt attention decides which student block follows which teacher block.

Ji, Heo, Park, "Show, Attend and Distill: Knowledge Distillation via Attention-based Feature Matching", AAAI 2021,
https://arxiv.org/abs/2102.02973
Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/AFD.py (224d4d6), after
the authors' own clovaai/attention-feature-distillation; weight 200 there.

    logit(t, s) = (<u(s, t), q(t)> + <P(t), P(s)>) / sqrt(d),   attention = softmax over s
    loss = sum over teacher blocks t of the mean over images of sum over s of attention(t, s) mean (v(s) - v(t))^2

q(t) and the keys are linear maps of globally averaged features, with batch norm; u is one bilinear map of all keys; P are
learnt positions; v are attention maps, the student's pooled to the teacher's size before they are normalised. All of these are
trained with the student and thrown away. Their initial values are the same in every run.
Departs: any number of blocks (the reference has tables for two depths); the learnt parameters are part of a resumed training.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.distillation.similarity import attention, energy, resized
from lib.distillation.term import blocks
from lib.params.bounds import Width
from lib.params.section import section
from lib.training.taps import Outputs, Term, exact

taps = blocks


@section
class AfdSettings:
    """dim: of queries, keys and positions."""

    dim: Width


class Projection(nn.Sequential):
    """Linear and batch norm by the mini-batch's own statistics: (B, n) -> (B, dim)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, track_running_stats=False))


class Attention(nn.Module):
    """Which student block each teacher block attends to."""

    def __init__(self, student: list[int], teacher: list[int], dim: int) -> None:
        """student, teacher: channels of their blocks."""
        super().__init__()
        self.dim = dim
        self.queries = nn.ModuleList(Projection(channels, dim) for channels in teacher)
        self.keys = nn.ModuleList(Projection(channels, dim) for channels in student)
        self.bilinear = Projection(dim, dim * len(teacher))
        self.positions_teacher = nn.Parameter(nn.init.xavier_normal_(torch.empty(len(teacher), dim)))
        self.positions_student = nn.Parameter(nn.init.xavier_normal_(torch.empty(len(student), dim)))

    def logits(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        """Features (B, C, H, W) of S and T blocks -> (B, T, S)."""
        queries = torch.stack([project(_pooled(f)) for project, f in zip(self.queries, teacher, strict=True)], 1)
        keys = [functional.relu(project(_pooled(f))) for project, f in zip(self.keys, student, strict=True)]
        stacked = torch.stack(keys, 1)  # (B, S, d)
        images, count, _ = stacked.shape
        crossed = self.bilinear(stacked.flatten(0, 1)).view(images, count, len(teacher), self.dim)  # (B, S, T, d)
        content = torch.einsum("bstd,btd->bts", crossed, queries)
        return (content + self.positions_teacher @ self.positions_student.T) / math.sqrt(self.dim)

    def forward(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        """The loss -> scalar."""
        share = torch.softmax(self.logits(student, teacher), dim=2)  # (B, T, S)
        return (share * apart(student, teacher)).sum((1, 2)).mean()


def apart(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """How far each of S student blocks attends from where each of T teacher blocks does, (B, T, S).

    The mean square of a - b is taken as (a a + b b - 2 a b) / (H W): all pairs of one size in one product of matrices.
    """
    energies = [energy(feature)[:, None] for feature in student]
    found: dict[int, Tensor] = {}
    for size in dict.fromkeys(feature.shape[2:] for feature in teacher):
        numbers = [number for number, feature in enumerate(teacher) if feature.shape[2:] == size]
        goals = torch.stack([attention(teacher[number]) for number in numbers], 1)  # (B, t, H W)
        pooled = [resized(one, teacher[numbers[0]]).flatten(1) for one in energies]
        mine = functional.normalize(torch.stack(pooled, 1), dim=2)  # (B, S, H W)
        with torch.autocast(goals.device.type, enabled=False):
            crossed = goals @ mine.mT  # (B, t, S)
        squares = goals.square().sum(2)[:, :, None] + mine.square().sum(2)[:, None]
        found |= dict(zip(numbers, ((squares - 2 * crossed).clamp_min(0.0) / goals.shape[2]).unbind(1), strict=True))
    return torch.stack([found[number] for number in range(len(teacher))], 1)


def _pooled(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C), float32 at least."""
    return features.mean((2, 3), dtype=exact(features[:0]).dtype)


def term(params: AfdSettings, student: Outputs, teacher: Outputs) -> Term:
    """Blocks (B, C, H, W) of any number, channels and sizes."""
    mine, theirs = ([feature.shape[1] for feature in outputs.maps] for outputs in (student, teacher))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        matching = Attention(mine, theirs, params.dim)
    matching.to(student.maps[0].device, exact(student.maps[0][:0]).dtype)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        made: Tensor = matching(student.maps, teacher.maps)
        return made

    return Term(loss, tuple(matching.parameters()))
