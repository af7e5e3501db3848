"""Every stage by hand, without DVC, from the download to the tables; and what a stage says to bad input."""

import contextlib
import importlib
import inspect
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lib.formats import checkpoint
from lib.formats.packed import unpacked
from lib.images.dataset import load as load_data
from stages.command import run as run_stage
from stages.command.kinds import is_bare
from tests import tiny

SCRIPTS = sorted(f"{folder}.{path.stem}" for folder in ("stages", "tools") for path in (tiny.ROOT / folder).glob("[a-z]*.py"))
PRUNED = "ahsg_ht-0.5-0"


def _document() -> dict[str, Any]:
    """One epoch each; the guide and teacher of resnet8 is a resnet14."""
    changes = {f"{name}__epochs": 1 for name in ("teacher", "prune__training", "distill__training", "encode__training")}
    small = {"kind": "constant", "size": 32, "last": "merge"}  # or the teacher learns nothing, and is refused
    document = tiny.document(prune__scratch_epochs=1, teacher__batches=small, **changes)
    document["distill"]["teachers"] = ["resnet14"]
    axes = {
        "network": "resnet8",
        "trained": ["resnet8", "resnet14"],
        "methods": ["ahsg_ht"],
        "keep_ratios": [0.5],
        "distillers": ["kd", "feature"],
    }
    document["benchmark"] |= {**axes, "seeds": [0]}
    document["latency"] |= {
        "runtimes": ["pytorch", "onnxruntime_int8"],
        "batch_sizes": [1, 4],
        "threads": [1],
        "warmup": 1,
        "repeats": 5,
    }
    return document


def _arguments(given: Mapping[str, object]) -> list[str]:
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def _stage(name: str, folder: Path, **given: object) -> str:
    """Run a stage, or a tool, in this process, which spares the import of torch; what it said to its user."""
    given = {"params": folder / "params.yaml", **given}
    module = importlib.import_module(f"{'stages' if name in tiny.STAGES else 'tools'}.{name}")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as said:
        patch.setattr("sys.argv", [name, *_arguments(given)])
        run_stage(module.main)
    return said.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that one tiny suite makes, and in `said` what tabulate said."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "params.yaml").write_text(yaml.safe_dump(_document()))
    data, networks = folder / "data", folder / "models"
    training = {"seed": 0, "data": data, "resume_dir": folder / "unfinished"}
    dense, guide = (networks / f"trained/0/{name}.safetensors" for name in ("resnet8", "resnet14"))
    logs = folder / "logs"
    _stage("code", folder, versions=tiny.ROOT / "requirements.lock", out=folder / "code")
    _stage("check", folder, out=folder / "checked.txt")
    _stage("download", folder, cache=folder / "cache", out=data)
    _stage("rehearse", folder, data=data, out=folder / "rehearsed.txt")
    for path in (dense, guide):
        _stage("train_teacher", folder, network=path.stem, out=path, log=logs / f"trained/0/{path.stem}.csv", **training)
    _stage("guide", folder, seed=0, teachers=networks / "trained/0", data=data, out=networks / "guide/0")
    guide = networks / "guide/0"
    from_here = {"dense": dense, "guide": guide, **training}
    for key, method, keep in ((PRUNED, "ahsg_ht", 0.5), ("dense-1.0-0", "dense", 1.0)):
        out = networks / f"pruned/{key}.safetensors"
        _stage(
            "prune",
            folder,
            method=method,
            keep_ratio=keep,
            compaction="scatter",
            out=out,
            log=logs / f"pruned/{key}.csv",
            **from_here,
        )
    for method, keep, distiller in (("ahsg_ht", 0.5, "kd"), ("ahsg_ht", 0.5, "feature"), ("dense", 1.0, "kd")):
        pruned, key = networks / f"pruned/{method}-{keep}-0.safetensors", f"{method}-{keep}-{distiller}-0"
        distilled, small = (networks / f"{kind}/{key}.safetensors" for kind in ("distilled", "compact"))
        log = logs / f"distilled/{key}.csv"
        _stage("distill", folder, distiller=distiller, pruned=pruned, guide=guide, out=distilled, log=log, **training)
        _stage("compact", folder, source=distilled, data=data, compaction="scatter", out=small)
        packed = networks / f"encoded/{key}.bin"
        with pytest.MonkeyPatch.context() as patch:
            if distiller == "feature" or method == "dense":  # the first is read back in a process of its own, as all are
                patch.setattr("lib.steps.encode.read_back", lambda _: unpacked)
            _stage("encode", folder, source=small, export=packed, **training)
        given = {"source": small, "encoded": packed.with_suffix(".json"), "data": data, "keep_ratio": keep}
        _stage("measure", folder, out=folder / f"cells/{key}.json", **given)
    source, coupled = networks / "distilled/ahsg_ht-0.5-kd-0.safetensors", networks / "coupled.safetensors"
    _stage("compact", folder, source=source, data=data, compaction="coupled", out=coupled)
    _stage("latency", folder, data=data, compact=networks / "compact", out=folder / "latency")
    published = tiny.ROOT / "suites/published.yaml"
    given = {"cells": folder / "cells", "latency": folder / "latency", "logs": logs, "published": published}
    (folder / "said").write_text(_stage("tabulate", folder, out=folder / "tables", **given))
    return folder


def test_the_data_set_is_the_digits(folder: Path) -> None:
    assert load_data(folder / "data").shape == (1, 8, 8)
    assert (folder / "checked.txt").read_text() == "every section of the parameter file is valid\n"


def test_every_training_leaves_a_checkpoint_and_its_log_and_nothing_unfinished(folder: Path) -> None:
    made = {path.relative_to(folder / "logs").as_posix() for path in (folder / "logs").rglob("*.csv")}
    keys = ("ahsg_ht-0.5-kd-0", "ahsg_ht-0.5-feature-0", "dense-1.0-kd-0")
    expected = {f"distilled/{key}.csv" for key in keys} | {f"pruned/{key}.csv" for key in (PRUNED, "dense-1.0-0")}
    assert made == expected | {"trained/0/resnet8.csv", "trained/0/resnet14.csv"}
    assert all((folder / "models" / name).with_suffix(".safetensors").is_file() for name in made)
    assert [path.name for path in (folder / "unfinished").iterdir()] == ["answers"]  # what the teacher said to kd


def test_the_pruning_was_guided_by_features(folder: Path) -> None:
    header = (folder / f"logs/pruned/{PRUNED}.csv").read_text().splitlines()[0].split(",")
    assert {"loss_feature", "mask_changes", "validation_top1"} <= set(header)


@pytest.mark.parametrize("distiller", ["kd", "feature"])
def test_the_distilled_network_keeps_the_masks_it_got(folder: Path, distiller: str) -> None:
    pruned = checkpoint.load(folder / f"models/pruned/{PRUNED}.safetensors")
    distilled = checkpoint.load(folder / f"models/distilled/ahsg_ht-0.5-{distiller}-0.safetensors")
    assert pruned.kept is not None
    assert distilled.kept is not None
    assert pruned.kept.share == 0.5
    for name, mask in pruned.kept.filters.items():
        assert torch.equal(mask, distilled.kept.filters[name])
        assert distilled.network.filters()[name][~mask].count_nonzero() == 0
    assert (pruned.notes["epochs"], distilled.notes["epochs"]) == (2, 3)


def test_both_compact_networks_compute_what_the_masked_one_does(folder: Path) -> None:
    test = load_data(folder / "data").splits["test"].images[:64].float() / 255
    masked = checkpoint.load(folder / "models/distilled/ahsg_ht-0.5-kd-0.safetensors").network
    for name in ("compact/ahsg_ht-0.5-kd-0", "coupled"):
        small = checkpoint.load(folder / f"models/{name}.safetensors")
        assert small.kept is None
        assert small.network.weight("conv1").shape[0] == 8
        with torch.no_grad():
            assert torch.allclose(masked(test), small.network(test), atol=1e-4)
        plan = json.loads((folder / f"models/{name}.json").read_text())
        assert plan["network"] == "resnet8"
        assert len(plan["filters"]["conv1"]) == 8


def test_a_cell_holds_numbers(folder: Path) -> None:
    cell = json.loads((folder / "cells/ahsg_ht-0.5-kd-0.json").read_text())
    dense = json.loads((folder / "cells/dense-1.0-kd-0.json").read_text())
    assert all(isinstance(value, int | float) for value in cell.values())
    assert cell["epochs"] == dense["epochs"] == 3
    assert cell["keep_ratio_achieved"] == 0.5
    assert dense["macs_ratio"] == dense["params_ratio"] == 1.0
    assert cell["macs"] < dense["macs"]
    assert 10.0 < cell["top1"] <= 100.0


def test_the_packed_network_is_a_fraction_and_its_numbers_are_in_the_cell_and_the_table(folder: Path) -> None:
    packed = folder / "models/encoded/ahsg_ht-0.5-kd-0.bin"
    cell = json.loads((folder / "cells/ahsg_ht-0.5-kd-0.json").read_text())
    assert cell["encoded_bytes"] == packed.stat().st_size
    assert cell["encoded_ratio"] > 10.0
    assert cell["encoded_bytes"] < cell["bytes"] / 4
    table = (folder / "tables/table.md").read_text()
    assert f"({cell['encoded_ratio']:.1f}×)" in table  # noqa: RUF001
    assert (folder / "tables/accuracy_bytes.png").stat().st_size > 1000


def test_what_is_taken_out_of_the_file_is_a_checkpoint_for_every_other_command(folder: Path, tmp_path: Path) -> None:
    packed, out = folder / "models/encoded/ahsg_ht-0.5-kd-0.bin", tmp_path / "small.safetensors"
    _stage("encode", folder, **{"import": packed, "out": out})
    _stage("measure", folder, source=out, data=folder / "data", keep_ratio=0.5, out=tmp_path / "cell.json")
    again, cell = (json.loads(path.read_text()) for path in (tmp_path / "cell.json", folder / "cells/ahsg_ht-0.5-kd-0.json"))
    assert again["top1"] == cell["encoded_top1"]
    assert again["macs"] == cell["macs"]
    assert again["epochs"] == cell["epochs"] + 1
    assert "validation_top1" not in again  # that was of other weights


def test_damaged_numbers_of_a_packed_network_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "encoded.json").write_text('{"encoded_bytes": ')
    given = {"source": folder / "models/compact/ahsg_ht-0.5-kd-0.safetensors", "data": folder / "data", "keep_ratio": 0.5}
    with pytest.raises(SystemExit, match=r"^error: .*encoded\.json should hold JSON, got Expecting value"):
        _stage("measure", folder, encoded=tmp_path / "encoded.json", out=tmp_path / "cell.json", **given)
    assert not (tmp_path / "cell.json").exists()


def test_masks_are_not_exported_at_full_size(folder: Path, tmp_path: Path) -> None:
    given = {"source": folder / f"models/pruned/{PRUNED}.safetensors", "data": folder / "data", "out": tmp_path / "big.onnx"}
    with pytest.raises(
        SystemExit, match="holds masks, and would be exported as large as before; give the checkpoint that stage"
    ):
        _stage("export_onnx", folder, **given)
    assert not (tmp_path / "big.onnx").exists()


@pytest.mark.parametrize(
    ("command", "words", "named"),
    [
        ("describe", ["resnet8", "--size", "-5"], "--size must be at least 1, got -5"),
        ("describe", ["resnet8", "--classes", "0"], "--classes must be at least 1, got 0"),
        ("coverage", ["resnet8", "--size", "0"], "--size must be at least 1, got 0"),
        ("latency_table", ["resnet8", "--out", "table.json", "--threads", "-3"], "--threads must be at least 1, got -3"),
        ("latency_table", ["resnet8", "--out", "table.json", "--repeats", "0"], "--repeats must be at least 1, got 0"),
    ],
)
def test_numbers_below_one_are_refused_before_any_work(command: str, words: list[str], named: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"tools.{command}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr("sys.argv", [command, *words])
        with pytest.raises(SystemExit, match=f"^error: {named}$"):
            run_stage(module.main)


@pytest.mark.filterwarnings("default")  # of the exporter
def test_a_packed_network_becomes_onnx_files(folder: Path, tmp_path: Path) -> None:
    packed = folder / "models/encoded/ahsg_ht-0.5-kd-0.bin"
    names = {"out": tmp_path / "small.onnx", "int8": tmp_path / "small.int8.onnx"}
    first, second = _stage("export_onnx", folder, source=packed, data=folder / "data", **names).splitlines()[-2:]
    cell = json.loads((folder / "cells/ahsg_ht-0.5-kd-0.json").read_text())
    assert re.search(r"small\.onnx: [\d,]+ bytes, largest difference of logits .*, 0 of 359 predicted classes changed$", first)
    assert re.search(rf"in float32 {cell['encoded_top1']:.2f} %$", second)
    assert names["int8"].stat().st_size < names["out"].stat().st_size / 2


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"export": "a", "import": "b", "out": "c"},
        {"export": "a.bin", "data": "d"},
        {"export": "a.bin", "source": "s", "data": "d", "seed": 0},
        {"import": "a.bin"},
    ],
    ids=str,
)
def test_encode_says_what_its_ways_need(given: dict[str, object]) -> None:
    said = "^error: give either --import and --out, or --export, --source, --data, --seed and --resume-dir$"
    with pytest.raises(SystemExit, match=said):
        _stage("encode", Path(), **given)


def test_latencies_are_there_for_every_shape(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "latency").iterdir()) == [
        "ahsg_ht-0.5-0.json",
        "dense-1.0-0.json",
        "machine.json",
    ]
    timed = json.loads((folder / "latency/ahsg_ht-0.5-0.json").read_text())
    settings = {(row["runtime"], row["threads"], row["batch"]) for row in timed["timings"]}
    assert settings == {(name, 1, batch) for name in ("pytorch", "onnxruntime_int8") for batch in (1, 4)}


def test_the_tables_name_the_one_cell_that_was_left_out(folder: Path) -> None:
    assert "missing cells (1): dense-1.0-feature-0" in (folder / "said").read_text()
    table = (folder / "tables/table.md").read_text()
    assert "ahsg_ht" in table
    assert "dense-1.0-feature-0" in table
    assert (folder / "tables/accuracy_macs.png").stat().st_size > 1000


def test_a_stage_gives_the_same_bytes_again(folder: Path, tmp_path: Path) -> None:
    data, out, log = folder / "data", tmp_path / "out", tmp_path / "log"
    _stage("train_teacher", folder, network="resnet8", seed=0, data=data, resume_dir=tmp_path, out=out, log=log)
    assert out.read_bytes() == (folder / "models/trained/0/resnet8.safetensors").read_bytes()
    assert log.read_bytes() == (folder / "logs/trained/0/resnet8.csv").read_bytes()


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_describes_the_command_and_every_option(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(name)
    monkeypatch.setattr("sys.argv", [name, "--help"])
    monkeypatch.setenv("COLUMNS", "127")
    with pytest.raises(SystemExit, match=r"^0$"):
        run_stage(module.main)
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m {name} ")
    assert module.__doc__.strip() in said
    told = said.split("show this help message and exit")[1]
    parameters = inspect.signature(module.main).parameters.values()
    assert re.findall(r"^  --([\w-]+)(?: \S+)?\s{2,}\w", told, re.MULTILINE) == [
        parameter.name.strip("_").replace("_", "-") for parameter in parameters if not is_bare(parameter)
    ]
    for parameter in parameters:
        assert not is_bare(parameter) or re.search(rf"^  {parameter.name.rstrip('s').upper()}\s{{2,}}\w", said, re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_command_imports_nothing_that_takes_long_before_it_runs(name: str) -> None:
    """So that --help comes at once, and Ctrl-C while torch is imported is one line."""
    code = f"import sys, {name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tiny.ROOT, capture_output=True, text=True, check=True)
    loaded = {module.split(".")[0] for module in done.stdout.split()}
    assert loaded & {"torch", "numpy", "pandas", "pydantic", "yaml", "ruamel", "networkx", "dvc", "tqdm"} == set()


def test_all_stages_of_the_graph_are_run_here() -> None:
    assert set(re.findall(r"python -m stages\.(\w+)", (tiny.ROOT / "dvc.yaml").read_text())) == set(tiny.STAGES)


def test_a_missing_argument_is_named() -> None:
    said = r"^error: the following arguments are required: --out; see python -m stages.measure --help$"
    with pytest.raises(SystemExit, match=said):
        _stage("measure", Path(), source="a", data="b", keep_ratio=0.5)


def test_an_error_is_one_line_without_a_traceback(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stages.compact", "--params", str(folder / "params.yaml"), "--source", "gone"]
    command += ["--data", str(folder / "data"), "--compaction", "scatter", "--out", str(tmp_path / "out.safetensors")]
    done = subprocess.run(command, cwd=tiny.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: gone is missing or is not a whole checkpoint")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


BAD: dict[str, tuple[str, dict[str, object], str]] = {
    "unknown network": ("train_teacher", {"network": "resnet9"}, "networks.resnet9: this section is missing"),
    "no data": ("train_teacher", {"data": "nowhere"}, "nowhere holds no complete data set .*run the download stage"),
    "network for larger images": (
        "rehearse",
        {"params": "large.yaml"},
        r"benchmark.trained: vgg11: VGG .* \(ValueError: vgg needs images of at least 32x32, got \(8, 8\); use a resnet for",
    ),
    "unknown method": ("prune", {"method": "magic"}, "lib.pruning.methods has no 'magic'; there are: ahsg_ht"),
    "method without a section": (
        "prune",
        {"method": "l1", "params": "short.yaml"},
        "prune.methods.l1: this section is missing",
    ),
    "keep ratio": ("prune", {"keep_ratio": 1.5}, "keep_ratio must be above 0 and at most 1, got 1.5"),
    "unknown distiller": ("distill", {"distiller": "magic"}, "distill.distillers.magic: this section is missing"),
    "no masks": ("distill", {"pruned": "dense"}, "holds no masks; give the checkpoint that the prune stage wrote"),
    "masks to encode": ("encode", {"source": "pruned"}, "holds masks; give the checkpoint that the compact stage wrote"),
    "masks wanted": ("compact", {"source": "dense"}, "holds no masks; give a checkpoint of the prune or distill stage"),
    "no cells": ("tabulate", {}, "cell"),
    "no checkpoints": ("latency", {}, "dense-1.0-kd-0.safetensors is missing or is not a whole checkpoint"),
    "no such source": ("download", {"params": "elsewhere.yaml"}, "data.source 'nowhere' does not exist; give the path or"),
    "broken params": ("check", {"params": "broken.yaml"}, "the parameter file is not valid YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_with_a_message(folder: Path, tmp_path: Path, name: str) -> None:
    stage, changes, said = BAD[name]
    document = _document()
    document["data"] |= {"source": "nowhere", "watch": "nowhere"}
    (tmp_path / "elsewhere.yaml").write_text(yaml.safe_dump(document))
    del document["prune"]["methods"]["l1"]
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(document))
    large = _document()
    large["benchmark"] |= {"trained": ["resnet8", "vgg11"]}
    large["distill"]["teachers"] = ["vgg11"]
    (tmp_path / "large.yaml").write_text(yaml.safe_dump(large))
    (tmp_path / "broken.yaml").write_text("data: [")
    given = _complete(stage, folder, tmp_path) | changes
    if "params" in changes:
        given["params"] = tmp_path / str(changes["params"])
    if "dense" in changes.values():
        given |= {key: folder / "models/trained/0/resnet8.safetensors" for key in ("source", "pruned") if key in changes}
    if "pruned" in changes.values():
        given["source"] = folder / f"models/pruned/{PRUNED}.safetensors"
    with pytest.raises(SystemExit, match=f"^error: .*{said}"):
        _stage(stage, folder, **given)
    assert not list(tmp_path.glob("out*"))


def _complete(stage: str, folder: Path, empty: Path) -> dict[str, object]:
    """Arguments of a stage that are all right, except that folders of earlier results are empty."""
    networks = folder / "models"
    teacher, pruned = networks / "trained/0/resnet14.safetensors", networks / f"pruned/{PRUNED}.safetensors"
    training = {"seed": 0, "data": folder / "data", "resume_dir": empty / "unfinished", "log": empty / "log.csv"}
    pruning = {"method": "ahsg_ht", "keep_ratio": 0.5, "compaction": "scatter", "dense": teacher, "guide": teacher}
    arguments: dict[str, dict[str, object]] = {
        "check": {},
        "code": {"versions": tiny.ROOT / "requirements.lock"},
        "download": {"cache": empty / "cache"},
        "rehearse": {"data": folder / "data"},
        "train_teacher": {"network": "resnet8", **training},
        "guide": {"seed": 0, "teachers": networks / "trained/0", "data": folder / "data"},
        "prune": {**pruning, **training},
        "distill": {"distiller": "kd", "pruned": pruned, "guide": teacher, **training},
        "compact": {"source": pruned, "data": folder / "data", "compaction": "scatter"},
        "encode": {"source": pruned, **{name: training[name] for name in ("seed", "data", "resume_dir")}},
        "latency": {"data": folder / "data", "compact": empty},
        "tabulate": {"cells": empty, "latency": empty, "logs": empty, "published": tiny.ROOT / "suites/published.yaml"},
    }
    target = {"export": empty / "out.bin"} if stage == "encode" else {"out": empty / "out"}
    return {**arguments[stage], **target}


def test_a_missing_parameter_file_ends_with_a_message(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*gone.yaml"):
        _stage("check", folder, params="gone.yaml", out=tmp_path / "out")


@pytest.mark.parametrize("stage", ["prune", "compact"])
def test_an_unknown_compaction_is_refused(folder: Path, tmp_path: Path, stage: str) -> None:
    given = _complete(stage, folder, tmp_path) | {"compaction": "coupeld"}
    with pytest.raises(SystemExit, match=r"^error: argument --compaction: invalid choice: 'coupeld' .*scatter.*coupled"):
        _stage(stage, folder, **given)
