"""The page of all parameters: every key with what it may be, what it is by default and what it means."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_type_hints

from docs.generator import openings
from docs.generator.markdown import NOTE, prose, table
from docs.generator.settings import Entry, entries, kinds, sections
from lib.params.named import known
from lib.pruning.keep_schedule import KeepSchedule
from lib.steps.document import Document
from lib.training.averaging import Averaging
from lib.training.schedules import BatchSize, LearningRate

HEADER = ("Key", "Allowed", "Default", "Meaning")
CHOICES = {"batches": BatchSize, "schedule": LearningRate, "averaging": Averaging, "keep_schedule": KeepSchedule}
TRAININGS = ("teacher", "prune.training", "distill.training", "encode.training")


def page(document: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """document: the default parameters. notes: the comments in them, by place."""
    whole = list(entries(Document, document, "", notes))
    training = [entry for entry in whole if entry.place.startswith(tuple(f"{place}." for place in TRAININGS))]
    parts = [NOTE.format(source="the settings classes in lib/ and suites/digits.yaml"), openings.PARAMETERS]
    for name in get_type_hints(Document):
        inside = [entry for entry in whole if entry.place.split(".")[0] == name and entry not in training]
        parts += [f"## `{name}`", rows(inside)] if inside else []
        parts += [openings.NETWORKS.format(names=", ".join(f"`{one}`" for one in known()))] if name == "benchmark" else []
    parts += [openings.TRAININGS, trainings(training), openings.KINDS]
    for name, hint in CHOICES.items():
        parts.append(f"### `{name}`")
        for one in sections(hint):
            called = ", ".join(f"`{kind}`" for kind in kinds([one]))
            keys = [[f"`{entry.place}`", entry.allowed] for entry in entries(one, None, "", {}) if entry.place != "kind"]
            parts += [f"**{called}**: {prose(summary(one))}", *([table(HEADER[:2], keys)] if keys else [])]
    return "\n\n".join(parts) + "\n"


def trainings(found: Sequence[Entry]) -> str:
    """All trainings side by side: their keys are the same."""
    keys = {entry.place.rpartition(".")[2]: entry for entry in found}
    values = {entry.place: code(entry.default) for entry in found}
    header = ("Key", "Allowed", *(f"`{place}`" for place in TRAININGS), "Meaning")
    lines = []
    for key, one in keys.items():
        lines.append([f"`{key}`", one.allowed, *(values[f"{place}.{key}"] for place in TRAININGS), prose(one.meaning)])
    return table(header, lines)


def summary(kind: Any) -> str:
    """The docstring of a kind, which says what its keys do."""
    return " ".join((kind.__doc__ or "").split())


def rows(found: Iterable[Entry]) -> str:
    """Settings as a table."""
    return table(HEADER, [[f"`{one.place}`", one.allowed, code(one.default), prose(one.meaning)] for one in found])


def code(text: str) -> str:
    """As code, where there is something."""
    return f"`{text}`" if text else ""
