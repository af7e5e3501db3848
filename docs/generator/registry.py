"""The page of a registry (methods or terms): each plug-in's docstring taken apart, with its settings."""

import inspect
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from docs.generator.markdown import NOTE, prose, table
from docs.generator.parameters import rows
from docs.generator.settings import entries
from lib import plugins

LABELS = ("Reference", "Departs")
LABEL = re.compile(rf"^({'|'.join(LABELS)}): ", re.MULTILINE)


class Registry(NamedTuple):
    """A folder of plug-ins: its package, the section of params.yaml that has the settings, and how the page begins."""

    package: ModuleType
    section: str
    opening: str


class Parts(NamedTuple):
    """A docstring: its first sentence, the paper, the reference code, how it works, and what is done otherwise here."""

    summary: str
    paper: str
    reference: str
    text: tuple[str, ...]
    departs: str


def page(registry: Registry, document: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """document: the default parameters. notes: the comments in them, by place."""
    names = plugins.names(registry.package)
    told = {name: parts(plugins.find(registry.package, name)) for name in names}
    overview = table(("Name", "What it does"), [[f"[`{name}`](#{name})", prose(told[name].summary)] for name in names])
    blocks = [NOTE.format(source=f"the docstrings in {registry.package.__name__.replace('.', '/')}/")]
    blocks += [registry.opening, overview]
    for name in names:
        blocks += [f"## `{name}`", *_told(told[name]), _settings(registry, name, document, notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def parts(module: ModuleType) -> Parts:
    """Take the docstring of a plug-in apart: summary, blank line, paper, `Reference: …`, text, `Departs: …`."""
    summary, *paragraphs = inspect.cleandoc(module.__doc__ or "").split("\n\n")
    labelled: dict[str, str] = {"paper": ""}
    text = []
    for number, paragraph in enumerate(paragraphs):
        before, *rest = LABEL.split(paragraph)
        labelled |= dict(zip(rest[::2], rest[1::2], strict=True))
        if number == 0 and rest:
            labelled["paper"] = before
        elif before:
            text.append(before)
    return Parts(summary, labelled["paper"], labelled.get("Reference", ""), tuple(text), labelled.get("Departs", ""))


def _told(found: Parts) -> list[str]:
    named = {"Paper": found.paper, "Reference": found.reference}
    lines = [f"- **{label}**: {_flowing(text)}" for label, text in named.items() if text]
    departs = [f"**Departs**: {_flowing(found.departs)}"] if found.departs else []
    return [prose(found.summary), "\n".join(lines), *map(_paragraph, found.text), *departs]


def _paragraph(text: str) -> str:
    """Indented text is a formula, shown as it is."""
    return text.rstrip() if text.startswith("    ") else _flowing(text)


def _flowing(text: str) -> str:
    return prose(" ".join(text.split()))


def _settings(registry: Registry, name: str, document: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    kind, values = plugins.settings(plugins.find(registry.package, name)), document
    for key in registry.section.split("."):
        values = values[key]
    if name not in values:
        msg = f"{name} has no settings under `{registry.section}` of suites/digits.yaml, which the pages show; add them there"
        raise ValueError(msg)
    values = values[name]
    found = list(entries(kind, values, f"{registry.section}.{name}", notes))
    return rows(found) if found else "No settings."
