"""RC, masked filter modelling: the student's stages, decoded by a 1x1 convolution, attend where the teacher's do.

Li et al., "Distilling Knowledge by a Differential Filter Sampler", 2023, https://arxiv.org/abs/2307.00198
Reference: Osilly/KDFS, utils/loss.py, RCLoss (7b429e2); weight 1000 there.

rc = mean over stages of mean over images and positions of (a(D(F_student)) - a(F_teacher))^2, a the attention map of
`lib.distillation.similarity`, D a 1x1 convolution with bias of the student's width, trained with the student and thrown away.
Departs: the decoders start as the identity and not at random, which is deterministic and compares the student as it is.
The mean over positions makes the weight depend on the resolution, as in the source.
"""

import torch
from torch import Tensor, nn

from lib.distillation.similarity import attention, paired
from lib.distillation.term import stages
from lib.params.section import section
from lib.training.taps import Outputs, Term, exact

taps = stages


@section
class RcSettings:
    """Nothing of its own."""


def term(params: RcSettings, student: Outputs, teacher: Outputs) -> Term:  # noqa: ARG001 (nothing to set)
    """Stages (B, C, H, W), any channels. Raises ValueError when heights and widths or the number of stages differ."""
    paired(student.maps, teacher.maps, "rc")
    for name, mine, theirs in zip(student.features, student.maps, teacher.maps, strict=True):
        sizes = tuple(mine.shape[2:]), tuple(theirs.shape[2:])
        if sizes[0] != sizes[1]:
            msg = (
                f"rc compares positions: {name} needs equal heights and widths, got student {sizes[0]} and teacher {sizes[1]}"
            )
            raise ValueError(msg)
    decoders = [_decoder(feature) for feature in student.maps]

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        parts = [
            (attention(decoder(mine)) - attention(theirs)).square().mean()
            for decoder, mine, theirs in zip(decoders, student.maps, teacher.maps, strict=True)
        ]
        return torch.stack(parts).mean()

    return Term(loss, tuple(parameter for decoder in decoders for parameter in decoder.parameters()), by_image=True)


def _decoder(features: Tensor) -> nn.Conv2d:
    decoder = nn.Conv2d(features.shape[1], features.shape[1], 1, device=features.device, dtype=exact(features[:0]).dtype)
    nn.init.dirac_(decoder.weight)
    nn.init.zeros_(decoder.bias)  # type: ignore[arg-type]
    return decoder
