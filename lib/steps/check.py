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

FOLDER = View((3, 32, 32), 10, None)  # images of files have three channels; classes hardly matter


def check(sections: Mapping[str, Any]) -> None:
    """Raise one ParamsError with every problem of the file; where it has none, with all refusals of a rehearsal, where it is
    known what images networks will see. Stage `rehearse` tries the images themselves.
    """
    document = check_document(sections)
    if (view := presumed(document)) is not None:
        rehearse(document, sections, view)


def presumed(document: Document) -> View | None:
    """What networks will see: known for data sets by name, else as a teacher from elsewhere takes them, at the size that the
    settings give; None where only the images can tell.

    Raises ValueError for a teacher from elsewhere that cannot be read.
    """
    view, side = _data(document), document.data.crop or document.data.size
    if side is None:
        return view
    known = FOLDER if view is None else view
    return replace(known, shape=(known.shape[0], side, side))


def _data(document: Document) -> View | None:
    if document.data.source in LIBRARIES and document.data.name in KNOWN:
        return KNOWN[document.data.name]
    for teacher in document.distill.teachers:
        if isinstance(teacher, Given):
            found = load(verified(teacher))
            return View(found.shape, found.network.architecture.num_classes, None)
    return None
