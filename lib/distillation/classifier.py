"""Starting a student with its teacher's classifier.

Reference: favorxin/AHSG-HT-pruning-with-KD, pure_dis. Departs: values are copied, not aliased, so the teacher stays as it is;
classifiers that do not fit are an error, where the reference copies nothing without a word.
"""

import torch

from lib.networks.ensemble import Ensemble
from lib.networks.network import Network


@torch.no_grad()
def share_classifier_(student: Network, teacher: Network | Ensemble) -> None:
    """Copy the teacher's classifier into the student. Raises ValueError when their shapes differ, or for an ensemble."""
    if isinstance(teacher, Ensemble):
        msg = f"share_classifier copies one teacher's classifier, but {teacher.name} has several; set it to false"
        raise ValueError(msg)
    head = student.get_submodule(student.description.head)
    mine, theirs = head.state_dict(), teacher.get_submodule(teacher.description.head).state_dict()
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (mine, theirs)]
    if shapes[0] != shapes[1]:
        msg = f"share_classifier needs equal classifiers, got student {shapes[0]} and teacher {shapes[1]}; set it to false"
        raise ValueError(msg)
    head.load_state_dict(theirs)
