import pytest

from lib.distillation.classifier import share_classifier_
from tests.networks_for_tests import lived_in


def test_shared_classifier_is_a_copy_and_must_fit() -> None:
    student, teacher = lived_in("resnet8"), lived_in("resnet14", seed=1)
    share_classifier_(student, teacher)
    assert student.get_parameter("classifier.weight").equal(teacher.get_parameter("classifier.weight"))
    student.get_parameter("classifier.weight").data.zero_()
    assert teacher.get_parameter("classifier.weight").ne(0).any()
    with pytest.raises(ValueError, match="share_classifier needs equal classifiers"):
        share_classifier_(student, lived_in("vgg11"))
