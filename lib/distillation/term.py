"""What a distillation term is, and what it sees of the student and the teacher.

A term is one file in `lib/distillation/terms/` with a section of settings, a function `taps(params, network)` that
names the points it looks at, and one function `term(params, student, teacher) -> Term`, called once with example outputs so
that it can fit its own parameters to the shapes, or refuse them. Points are those of Network.taps, or any module's output by
name.
"""

from lib.networks.network import Network
from lib.training.taps import Outputs, Taps


def logits_only(_: object, __: Network) -> Taps:
    """For a term that looks at nothing but logits."""
    return ()


def refuse_other_classes(name: str, student: Outputs, teacher: Outputs) -> None:
    """Raise ValueError unless both tell the same classes apart."""
    if student.logits.shape != teacher.logits.shape:
        shapes = f"{tuple(student.logits.shape)} and {tuple(teacher.logits.shape)}"
        msg = f"{name} compares logits of one set of classes, got student and teacher logits {shapes}; "
        raise ValueError(msg + "train both on one data set")


def penultimate(_: object, __: Network) -> Taps:
    """The vector (B, D) that feeds the classifier."""
    return ("penultimate",)


def stages(_: object, network: Network) -> Taps:
    """The outputs of the stages (B, C, H, W), each stage half as high and wide as the one before."""
    return _points("stage", network)


def blocks(_: object, network: Network) -> Taps:
    """The outputs (B, C, H, W) of all residual blocks; of all activations in a network that has no blocks."""
    return _points("block", network)


def _points(kind: str, network: Network) -> Taps:
    """Raises ValueError for a network without any."""
    found = tuple(name for name in network.taps if name.startswith(kind))
    if not found:
        msg = f"{network.architecture.name} has no {kind}s: it sums, concatenates and activates no maps of more than a pixel; "
        raise ValueError(msg + "take terms that look at logits or penultimate")
    return found
