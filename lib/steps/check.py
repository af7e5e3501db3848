"""The body of stage `check`: all that can be known of a parameter file without the data."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lib.distillation.teachers import verified
from lib.formats.checkpoint import load
from lib.images.settings import LIBRARIES
from lib.params.suite import Given
from lib.steps.document import Document
from lib.steps.document import check as check_document
from lib.steps.rehearse import View, rehearse

KNOWN = {"digits": View((1, 8, 8), 10, None), "cifar10": View((3, 32, 32), 10, None), "cifar100": View((3, 32, 32), 100, None)}


def check(sections: Mapping[str, Any]) -> None:
    """Raise one ParamsError with every problem of the file; where it has none, with all refusals of a rehearsal."""
    document = check_document(sections)
    rehearse(document, sections, presumed(document))


def presumed(document: Document) -> View:
    """What networks will see, at the size that the settings give it, where they give one.

    Raises ValueError for a teacher from elsewhere that cannot be read.
    """
    view, side = _data(document), document.data.crop or document.data.size
    return view if side is None else replace(view, shape=(view.shape[0], side, side))


def _data(document: Document) -> View:
    """What the data will be: known for data sets by name, else as a teacher from elsewhere takes them, else as CIFAR-10."""
    if document.data.source in LIBRARIES and document.data.name in KNOWN:
        return KNOWN[document.data.name]
    for teacher in document.distill.teachers:
        if isinstance(teacher, Given):
            found = load(verified(teacher))
            return View(found.shape, found.network.architecture.num_classes, None)
    return KNOWN["cifar10"]
