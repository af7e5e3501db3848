"""The whole of params.yaml as one type, so that a file is checked before any work, all problems at once.

Only checking and documentation look at the whole: a stage reads its own sections, and depends on nothing else.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from types import ModuleType
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from lib import plugins
from lib.distillation import terms
from lib.images.augmentation import Augmentation
from lib.images.quoting import quoted
from lib.images.settings import VERSIONS, DataSettings
from lib.params.bounds import RULE, Calibration, EpochsOrNone, Name, Place
from lib.params.named import Named, is_own_code
from lib.params.named import known as known_networks
from lib.params.own_code import place
from lib.params.section import section, validated
from lib.params.shown import listed
from lib.params.suite import DENSE, Benchmark, Teachers
from lib.pruning import methods
from lib.pruning.layers import Layers
from lib.runtimes import engines
from lib.runtimes.timing import LatencySettings
from lib.steps.distill import Distiller, Room
from lib.steps.encode import EncodeSettings
from lib.training.device import Compute
from lib.training.loop import Training
from lib.training.running import Running


class Plugins:
    """The sections of a registry: each key is the name of a plug-in, its value that plug-in's settings."""

    def __init__(self, package: ModuleType, *required: str) -> None:
        """required: names that must be there; the others may."""
        self.package, self.required = package, required

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """One field for each plug-in, built when the file is checked: this imports all of them."""
        kinds = {name: plugins.settings(plugins.find(self.package, name)) for name in plugins.names(self.package)}
        fields = {
            name: core_schema.typed_dict_field(handler.generate_schema(kind), required=name in self.required)
            for name, kind in kinds.items()
        }
        unknown = core_schema.no_info_plain_validator_function(self._unknown)
        return core_schema.typed_dict_schema(fields, extra_behavior="allow", extras_schema=unknown)

    def _unknown(self, _: Any) -> Any:
        allowed = listed(plugins.names(self.package))
        raise PydanticCustomError(RULE, "is unknown; allowed: {allowed}", {"allowed": allowed})


@section
class Prune:
    """scratch_epochs: added when a method starts from random weights. calibration: images to estimate batch norms with once
    masks are chosen; null: they stay as they are. methods: the settings of each, by name."""

    scratch_epochs: EpochsOrNone
    calibration: Calibration | None
    training: Training
    layers: Layers
    methods: Annotated[Mapping[str, Any], Plugins(methods, DENSE)]


@section
class Distill:
    """teachers: who teaches, by names of benchmark.trained or as checkpoints from elsewhere, {file, sha256}; of several the
    mean of their logits. allow_weak_teachers: let a network teach that is not clearly better than one that always names the
    commonest class. cache_gib: GiB of memory for the teacher's outputs, where augmentation is off; null: compute them in every
    step.

    terms: the settings of each, by name. distillers: combinations of terms, by a name of their own.
    """

    teachers: Teachers
    allow_weak_teachers: bool
    cache_gib: Room
    training: Training
    terms: Annotated[Mapping[str, Any], Plugins(terms)]
    distillers: Annotated[Mapping[Name, Distiller], Field(min_length=1)]


def _unwatched(networks: Mapping[str, Named], own_code: str) -> list[str]:
    """What is wrong with own_code, which DVC watches: it must be where the code of the networks lies."""
    modules = [one.builder.partition(":")[0] for one in networks.values() if is_own_code(one.builder)]
    places = {found.as_posix() for module in modules if (found := place(module))}
    if len(places) > 1:
        return [f"own_code: networks run {', '.join(sorted(places))}; put these files into one folder, and name it here"]
    (wanted,) = places or {VERSIONS}
    elsewhere = modules and not places  # installed, or not there: DVC misses it then
    if elsewhere or PurePosixPath(own_code) == PurePosixPath(wanted):
        return []
    reason = "where the code of your networks lies" if places else "because no network runs code of yours"
    return [f"own_code: is '{quoted(own_code)}'; it must be '{wanted}', {reason}, so that DVC sees an edit of it"]


@section
class Document:
    """params.yaml. suite: the name of the table, and of the folders of its networks and results.

    own_code: the file or folder of the code of your own networks, so that an edit of it is seen; without such code
    requirements.lock.
    """

    suite: Name
    own_code: Place
    data: DataSettings
    augmentation: Augmentation
    compute: Compute
    running: Running
    networks: Mapping[Name, Named]
    benchmark: Benchmark
    teacher: Training
    prune: Prune
    distill: Distill
    encode: EncodeSettings
    latency: LatencySettings

    def __post_init__(self) -> None:
        """Sections fit one another: every network that is trained is of use, and outputs are kept where they stay the same."""
        used = (self.benchmark.network, *self.distill.teachers)
        found = [
            f"benchmark.trained: has {name!r}, which is neither benchmark.network nor one of distill.teachers; remove it"
            for name in self.benchmark.trained
            if name not in used
        ]
        found += [
            f"networks.{name}: is the name of one of this project's; choose another"
            for name in self.networks
            if name in known_networks()
        ]
        found += _unwatched(self.networks, self.own_code)
        found += self.augmentation.problems(self.data.crop)
        if self.distill.cache_gib is not None and self.augmentation.changes:
            found += ["distill.cache_gib: keeps outputs of images that do not change; set it to null, or flip none, "]
            found[-1] += "crop_padding 0, resized_crop null and jitter null"
        if found:
            raise ValueError("\n".join(found))


def check(document: Mapping[str, Any]) -> Document:
    """The checked file. Raises one ParamsError with every problem: types, ranges, unknown names, references to nothing."""
    known = {
        "network": (*known_networks(), *_names(document, "networks")),
        "trained": _names(document, "benchmark", "trained"),
        "method": tuple(name for name in _names(document, "prune", "methods") if name in _CHOICES),
        "term": _names(document, "distill", "terms"),
        "distiller": _names(document, "distill", "distillers"),
        "runtime": plugins.names(engines),
    }
    return validated(document, Document, known=known)


_CHOICES = frozenset(plugins.names(methods)) - {DENSE}  # the dense control has cells of its own


def _names(document: Mapping[str, Any], *keys: str) -> tuple[str, ...]:
    """What a file names at a place, a list or the keys of a section; nothing where it holds something else."""
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, Iterable) else ()
