"""How a training runs, and not what comes of it."""

from typing import Annotated

from pydantic import Field

from lib.params.section import section


@section
class Running:
    """No bit of any result depends on these, so nothing runs again when they change.

    workers: processes of each training that read and decode its images, where `data.storage` is files; 0: the training does
    it itself. resume_every: steps between states saved within an epoch, besides the one after each epoch; null: only that
    one. answers_gib: GiB on disk for the logits that teachers gave, asked once for all distillations of a seed; null: asked
    in each.
    """

    workers: Annotated[int, Field(ge=0, le=256)]
    resume_every: Annotated[int, Field(ge=1, le=2**31)] | None
    answers_gib: Annotated[float, Field(gt=0.0, le=1_000_000.0)] | None
