"""Every section of a parameter file with the type that checks it, so that a whole file is checked before any work."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from lib import plugins
from lib.cost.latency import LatencySettings
from lib.distillation import terms
from lib.images.batches import Augmentation
from lib.images.sources import DataSettings
from lib.networks import NETWORKS
from lib.params.section import ParamsError, problems
from lib.params.suite import Benchmark, Teachers
from lib.pruning import methods
from lib.pruning.layers import Layers
from lib.steps.distill import Distiller, Room
from lib.steps.encode import EncodeSettings
from lib.training.device import Compute
from lib.training.loop import Training

FIXED: Mapping[str, Any] = {
    "suite": str,
    "data": DataSettings,
    "augmentation": Augmentation,
    "compute": Compute,
    "benchmark": Benchmark,
    "teacher": Training,
    "prune.scratch_epochs": Annotated[int, Field(ge=0)],
    "prune.training": Training,
    "prune.layers": Layers,
    "distill.teachers": Teachers,
    "distill.cache_gib": Room,
    "distill.training": Training,
    "encode": EncodeSettings,
    "latency": LatencySettings,
}
HINTS = dict.fromkeys(("benchmark.network", "distill.teachers"), " (others: add them to benchmark.trained)")
OPEN = ("prune.methods", "distill.terms", "distill.distillers")  # hold sections named by the user's files and choices


def check(document: Mapping[str, Any]) -> None:
    """Raise one ParamsError with every problem of the file: types, ranges, unknown names, references to what is not there."""
    sections = {**FIXED, **_plugins(document, "prune.methods", methods), **_plugins(document, "distill.terms", terms)}
    sections |= {f"distill.distillers.{name}": Distiller for name in _keys(document, "distill.distillers")}
    found = [line for name, kind in sections.items() for line in problems(document, name, kind)]
    found += _unknown(document, sections)
    if not found:
        found = [*_axes(document["benchmark"]), *_cache(document)]
    found += _references(document)
    found = found or _idle(document)
    if found:
        raise ParamsError("\n".join(found))


def _idle(document: Mapping[str, Any]) -> list[str]:
    """Every network that is trained is pruned or teaches, and every teacher teaches once."""
    teachers = _names(document, "distill.teachers")
    used = {document["benchmark"]["network"], *teachers}
    found = [
        f"benchmark.trained: has {name!r}, which is neither benchmark.network nor one of distill.teachers; remove it"
        for name in document["benchmark"]["trained"]
        if name not in used and name in NETWORKS
    ]
    twice = sorted({name for name in teachers if teachers.count(name) > 1})
    return found + [f"distill.teachers: has {name!r} more than once; write it once" for name in twice]


def _cache(document: Mapping[str, Any]) -> list[str]:
    """The teacher's outputs can be kept for images that are the same in every epoch."""
    moving = document["augmentation"]["flip"] or document["augmentation"]["crop_padding"]
    if document["distill"]["cache_gib"] is None or not moving:
        return []
    return ["distill.cache_gib: keeps outputs of images that do not change; set it to null, or flip false and crop_padding 0"]


def _keys(document: Mapping[str, Any], name: str) -> list[str]:
    value: Any = document
    for key in name.split("."):
        value = value.get(key, {}) if isinstance(value, Mapping) else {}
    return list(value) if isinstance(value, Mapping) else []


def _names(document: Mapping[str, Any], name: str) -> list[str]:
    """The names written at a place, one or a list."""
    value: Any = document
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


def _plugins(document: Mapping[str, Any], name: str, package: Any) -> dict[str, type]:
    known = set(_keys(document, name)) & set(plugins.names(package))
    return {f"{name}.{key}": plugins.settings(plugins.find(package, key)) for key in sorted(known)}


def _unknown(document: Mapping[str, Any], sections: Mapping[str, type]) -> list[str]:
    tops = {name.partition(".")[0] for name in sections}
    found = [f"{name}: is unknown; remove it or correct its name" for name in document if name not in tops]
    for group in ("prune", "distill", *OPEN):
        inside = {
            name.removeprefix(f"{group}.").partition(".")[0] for name in (*sections, *OPEN) if name.startswith(f"{group}.")
        }
        found += [
            f"{group}.{key}: is unknown; allowed: {', '.join(sorted(inside))}"
            for key in _keys(document, group)
            if key not in inside
        ]
    return found


def _axes(benchmark: Mapping[str, list[Any]]) -> list[str]:
    """Values name cells and files, so each may stand once and must be written as it is printed."""
    lists = {f"benchmark.{name}": values for name, values in benchmark.items() if isinstance(values, list)}
    found = [
        f"{name}: has {values!r}; write each value once" for name, values in lists.items() if len(set(values)) < len(values)
    ]
    whole = [ratio for ratio in benchmark["keep_ratios"] if isinstance(ratio, int)]
    return found + [f"benchmark.keep_ratios: has {ratio!r}; write it as {float(ratio)}" for ratio in whole]


def _references(document: Mapping[str, Any]) -> list[str]:
    """Names that sections use for one another; what has not the shape of names is told by its type's check."""
    guides = {
        f"prune.methods.{name}.guide": _keys(document, f"prune.methods.{name}.guide")
        for name in _keys(document, "prune.methods")
    }
    weights = {
        f"distill.distillers.{name}.terms": _keys(document, f"distill.distillers.{name}.terms")
        for name in _keys(document, "distill.distillers")
    }
    uses: list[tuple[str, list[str], list[str]]] = [
        ("benchmark.network", _names(document, "benchmark.network"), _names(document, "benchmark.trained")),
        ("benchmark.trained", _names(document, "benchmark.trained"), list(NETWORKS)),
        ("distill.teachers", _names(document, "distill.teachers"), _names(document, "benchmark.trained")),
        (
            "benchmark.methods",
            _names(document, "benchmark.methods"),
            [k for k in _keys(document, "prune.methods") if k in plugins.names(methods) and k != "dense"],
        ),
        ("benchmark.distillers", _names(document, "benchmark.distillers"), _keys(document, "distill.distillers")),
        *((name, used, _keys(document, "distill.terms")) for name, used in {**guides, **weights}.items()),
    ]
    return [
        f"{name}: has {value!r}, which is not there; allowed: {', '.join(allowed)}{HINTS.get(name, '')}"
        for name, used, allowed in uses
        for value in used
        if value not in allowed
    ]
