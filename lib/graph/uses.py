"""What each stage finds by name while it runs, by what params.yaml says."""

import re
from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from lib.params.named import FAMILIES, is_own_code, known, named
from lib.params.section import read
from lib.params.suite import Benchmark, Given, Teachers

METHODS, TERMS, NETWORKS = "lib.pruning.methods", "lib.distillation.terms", "lib.networks"
RUNTIMES = "lib.runtimes.engines"
FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SHOWN = 80  # characters of a wrong value in a message
NONE: frozenset[str] = frozenset()


class Use(NamedTuple):
    """script: the stage. plugins: modules that it finds by name, the user's own builders' too. terms, networks: those whose
    settings it reads.
    """

    script: str
    plugins: frozenset[str] = NONE
    terms: frozenset[str] = NONE
    networks: frozenset[str] = NONE


def uses(document: Mapping[str, Any], modules: Set[str]) -> dict[str, Use]:
    """Name of a manifest -> what it covers: a stage, or a stage as one network, method or distiller needs it.

    modules: all of the project. Raises ValueError for a network or a term that is not there, naming who asks for it.
    """
    benchmark, teachers = read(document, "benchmark", Benchmark), _teachers(document)
    dense = _families(document, "benchmark.network", [benchmark.network])
    found = {name: Use(name) for name in ("download", "tabulate")}
    found |= {name: Use(name, dense) for name in ("compact", "encode", "measure")}
    runtimes = frozenset(f"{RUNTIMES}.{name}" for name in read(document, "latency.runtimes", tuple[str, ...]))
    found["latency"] = Use("latency", dense | runtimes)
    found["guide"] = Use("guide", teachers)
    everything = dense | teachers | _with_sections(document, modules)
    found |= {name: Use(name, everything) for name in ("check", "rehearse")}
    for network in benchmark.trained:
        family = _families(document, "benchmark.trained", [network])
        found[f"train_teacher/{network}"] = Use("train_teacher", family, networks=frozenset({network} - set(known())))
    return found | _prunings(document, modules, dense, teachers) | _distillings(document, modules, dense, teachers)


def _prunings(
    document: Mapping[str, Any], modules: Set[str], dense: frozenset[str], teachers: frozenset[str]
) -> dict[str, Use]:
    """The pruning stage as each method needs it; who guides counts where somebody does."""
    found, sections = {}, read(document, "prune.methods", dict[str, Any])
    for method in _names(METHODS, modules):
        terms = _terms(document, f"prune.methods.{method}.guide", modules) if method in sections else NONE
        plugins = dense | {f"{METHODS}.{method}"} | _modules(terms) | (teachers if terms else NONE)
        found[f"prune/{method}"] = Use("prune", plugins, terms)
    return found


def _distillings(
    document: Mapping[str, Any], modules: Set[str], dense: frozenset[str], teachers: frozenset[str]
) -> dict[str, Use]:
    """The distilling stage as each distiller needs it; plain fine-tuning has no teacher."""
    found = {}
    for name in read(document, "distill.distillers", dict[str, Any]):
        _check_file_name(f"distill.distillers.{name}", name)
        terms = _terms(document, f"distill.distillers.{name}.terms", modules)
        shared = read(document, f"distill.distillers.{name}.share_classifier", bool)
        plugins = dense | _modules(terms) | (teachers if terms or shared else NONE)
        found[f"distill/{name}"] = Use("distill", plugins, terms)
    return found


def _teachers(document: Mapping[str, Any]) -> frozenset[str]:
    """The families of the distillers' teachers; of a teacher from elsewhere only its checkpoint knows, so it may be any."""
    chosen = read(document, "distill.teachers", Teachers)
    if any(isinstance(teacher, Given) for teacher in chosen):
        return _families(document, "", FAMILIES)
    return _families(document, "distill.teachers", [str(teacher) for teacher in chosen])


def _families(document: Mapping[str, Any], place: str, networks: Iterable[str]) -> frozenset[str]:
    """The modules of networks, those of the user's code too. Raises ValueError for one that is not there."""
    found, named_here = set(), document.get("networks")
    own = named_here if isinstance(named_here, Mapping) else {}  # another kind is for stage check to refuse
    for name in networks:
        if name not in known() and name not in own:
            there = ", ".join((*known(), *own))
            msg = f"{place}: no network is called {name!r:.{SHOWN}}; there are: {there}; or name it under `networks`"
            raise ValueError(msg)
        builder = named(document, name).builder
        if builder in FAMILIES:
            found.add(f"{NETWORKS}.{FAMILIES[builder]}")
        elif is_own_code(builder):
            found.add(builder.partition(":")[0])
    return frozenset(found)


def _terms(document: Mapping[str, Any], place: str, modules: Set[str]) -> frozenset[str]:
    """The names of a combination of terms. Raises ValueError for one that is not there."""
    terms = frozenset(read(document, place, dict[str, float]))
    known = _names(TERMS, modules)
    for name in sorted(terms - set(known)):
        msg = f"{place}: has {name!r:.{SHOWN}}, which is not there; allowed: {', '.join(known)}"
        raise ValueError(msg)
    return terms


def _modules(terms: Iterable[str]) -> frozenset[str]:
    return frozenset(f"{TERMS}.{name}" for name in terms)


def _with_sections(document: Mapping[str, Any], modules: Set[str]) -> frozenset[str]:
    """The methods and terms that have settings: the check reads them all, whether a cell uses them or not."""
    places = {METHODS: "prune.methods", TERMS: "distill.terms"}
    sections = {package: read(document, place, dict[str, Any]) for package, place in places.items()}
    return frozenset(
        f"{package}.{name}" for package in sections for name in _names(package, modules) if name in sections[package]
    )


def _names(package: str, modules: Set[str]) -> list[str]:
    prefix = f"{package}."
    return sorted(module.removeprefix(prefix) for module in modules if module.startswith(prefix))


def _check_file_name(place: str, name: str) -> None:
    """Raise ValueError for what would be no plain file name: manifests and networks are named by it."""
    if not FILE_NAME.fullmatch(name):
        msg = f"{place!r:.{SHOWN}}: this name becomes that of files; use 1 to 64 of a-z, 0-9, _ and -, the first no sign"
        raise ValueError(msg)
