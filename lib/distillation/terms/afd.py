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
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from lib.distillation.similarity import attention, resized
from lib.distillation.term import Outputs, Term, blocks
from lib.params import section

taps = blocks


@section
class Params:
    """dim: of queries, keys and positions."""

    dim: PositiveInt


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
        queries = torch.stack([project(f.mean((2, 3))) for project, f in zip(self.queries, teacher, strict=True)], 1)
        keys = [functional.relu(project(f.mean((2, 3)))) for project, f in zip(self.keys, student, strict=True)]
        stacked = torch.stack(keys, 1)  # (B, S, d)
        images, count, _ = stacked.shape
        crossed = self.bilinear(stacked.flatten(0, 1)).view(images, count, len(teacher), self.dim)  # (B, S, T, d)
        content = torch.einsum("bstd,btd->bts", crossed, queries)
        return (content + self.positions_teacher @ self.positions_student.T) / math.sqrt(self.dim)

    def forward(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        """The loss -> scalar."""
        share = torch.softmax(self.logits(student, teacher), dim=2)  # (B, T, S)
        return torch.stack([(share[:, t] * apart(student, goal)).sum(1).mean() for t, goal in enumerate(teacher)]).sum()


def apart(student: list[Tensor], goal: Tensor) -> Tensor:
    """How far each student block attends from where `goal` (B, C, H, W) does: (B, S)."""
    target = attention(goal)
    parts = []
    for feature in student:
        energy = resized(feature.square().mean(1, keepdim=True), goal).flatten(1)
        parts.append((functional.normalize(energy, dim=1) - target).square().mean(1))
    return torch.stack(parts, dim=1)


def term(params: Params, student: Outputs, teacher: Outputs) -> Term:
    """Blocks (B, C, H, W) of any number, channels and sizes."""
    mine, theirs = ([feature.shape[1] for feature in outputs.maps] for outputs in (student, teacher))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        matching = Attention(mine, theirs, params.dim)
    matching.to(student.maps[0].device)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        made: Tensor = matching(student.maps, teacher.maps)
        return made

    return Term(loss, tuple(matching.parameters()))
