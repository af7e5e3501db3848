"""The latencies for people: a table a setting, the fastest runtime marked, asked beside achieved."""

from typing import Any

import pandas as pd
import pytest

from docs.generator.markdown import rows
from lib.params.suite import Benchmark, Suite
from lib.tables import latencies
from lib.tables.timings import TYPES
from tests.tiny import timing

AXES = Benchmark("resnet8", ("resnet8",), ("l1",), (0.5,), ("none",), (0,), "coupled")
SUITE = Suite("made-up", "digits", "resnet8", AXES)
TOP1 = {("dense", 1.0): 90.0, ("l1", 0.5): 95.0}  # so that dense, slower and worse, is best for nothing
TIMES = {"pytorch": {1: 1.0, 128: 30.0}, "openvino": {1: 2.0, 128: 20.0}}  # of dense, in ms


def _timed(**changes: Any) -> pd.DataFrame:
    """Dense and l1, which is twice as fast; `changes` are of l1's."""
    networks = (("dense", 1.0, 1.0, {}), ("l1", 0.5, 2.0, {"speedup_low": 1.9, "speedup_high": 2.125} | changes))
    return pd.DataFrame(
        [
            {"method": method, "keep_ratio": keep, "seed": 0, "macs": 4e6 * keep**2, "macs_ratio": keep**2}
            | {"asked_share": float("nan")}
            | timing(runtime, threads, batch, median_ms=times[batch] / faster / threads, speedup=faster)
            | more
            for method, keep, faster, more in networks
            for threads in (1, 2)
            for runtime, times in TIMES.items()
            for batch in times
        ]
    ).astype({"peak_mib": float})


def _section(text: str, heading: str) -> list[list[str]]:
    return rows(text.partition(f"## {heading}\n")[2])


def test_a_table_for_each_thread_count_and_batch_size() -> None:
    text = latencies.report(SUITE, _timed(), {"device": "abacus"}, (), TOP1)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# made-up: latency",
        "## In the fastest runtime, 1 thread",
        "## 1 thread, batch 1",
        "## 1 thread, batch 128",
        "## 2 threads, batch 1",
        "## 2 threads, batch 128",
        "## Files, and peak memory with 1 thread, batch 128",
    ]
    assert "- Measured on: device: abacus." in text
    assert "Asked" not in text


def test_the_fastest_runtime_is_marked_and_summed_up_for_each_batch_size() -> None:
    text = latencies.report(SUITE, _timed(), {}, (), TOP1)
    first = ["Method", "Keep ratio", "FLOPs (MACs)"]
    assert _section(text, "In the fastest runtime, 1 thread") == [
        [*first, "Speed-up, batch 1 (pytorch)", "Speed-up, batch 128 (openvino)", "Best for time, batch"],
        ["dense", "1.0", "4.00 M (1.00×)", "1.00 ms", "20.0 ms", ""],  # noqa: RUF001
        ["l1", "0.5", "1.00 M (4.00×)", "2.00 (1.90-2.12)", "2.00 (1.90-2.12)", "1, 128"],  # noqa: RUF001
    ]
    assert _section(text, "1 thread, batch 128")[0] == [*first, "pytorch", "openvino (fastest)"]
    assert _section(text, "2 threads, batch 1")[1][3:] == ["0.500 ms", "1.00 ms"]


def test_integers_are_the_fastest_only_where_there_is_nothing_else() -> None:
    timed = _timed()
    for told, expected in (("openvino", "pytorch (fastest)"), ("pytorch", "openvino (fastest)")):
        renamed = timed.assign(runtime=timed["runtime"].replace(told, f"{told}_int8"))
        header = _section(latencies.report(SUITE, renamed, {}, (), TOP1), "1 thread, batch 128")[0]
        assert [name for name in header if name.endswith("(fastest)")] == [expected]
    alone = timed[timed["runtime"] == "openvino"].assign(runtime="openvino_int8")
    assert "openvino_int8 (fastest)" in _section(latencies.report(SUITE, alone, {}, (), TOP1), "1 thread, batch 128")[0]


def test_the_fastest_is_known_without_dense() -> None:
    timed = _timed()
    text = latencies.report(SUITE, timed[timed["method"] == "l1"], {}, ["dense-1.0-0"], TOP1)
    assert "openvino (fastest)" in _section(text, "1 thread, batch 128")[0]
    assert "Missing latencies (1): dense-1.0-0" in text


def test_asked_and_achieved_stand_side_by_side_where_one_was_asked() -> None:
    timed = _timed()
    asked = (timed["method"] == "l1") & (timed["runtime"] == "openvino") & (timed["batch"] == 1) & (timed["threads"] == 1)
    text = latencies.report(SUITE, timed.assign(asked_share=timed["asked_share"].mask(asked, 0.4)), {}, (), TOP1)
    header, dense, pruned = _section(text, "1 thread, batch 1")
    assert header[-2:] == ["Asked, openvino", "Achieved, openvino"]
    assert dense[-2:] == ["", ""]
    assert pruned[-2:] == ["40.0%", "50.0%"]
    assert text.count("Asked, ") == 1
    assert "- Asked is the share of the dense network's time" in text


def test_files_and_memory_leave_out_what_cannot_be_measured() -> None:
    timed = _timed()
    text = latencies.report(SUITE, timed.assign(peak_mib=timed["peak_mib"].mask(timed["runtime"] == "pytorch")), {}, (), TOP1)
    assert _section(text, "Files, and peak memory with 1 thread, batch 128") == [
        ["Method", "Keep ratio", "File, pytorch", "File, openvino", "Peak, openvino"],
        ["dense", "1.0", "123 kB", "123 kB", "34.5 MiB"],
        ["l1", "0.5", "123 kB", "123 kB", "34.5 MiB"],
    ]


@pytest.mark.parametrize(
    ("median", "text"), [(0.01234, "0.0123"), (1.0, "1.00"), (9.996, "10.0"), (99.96, "100"), (1234.5, "1234")]
)
def test_times_have_three_digits_and_no_exponent(median: float, text: str) -> None:
    timed = _timed().assign(median_ms=median, speedup=1.0)
    assert f"| {text} ms |" in " ".join(latencies.report(SUITE, timed, {}, (), TOP1).split())


def test_nothing_timed_is_said() -> None:
    nothing = pd.DataFrame(columns=[*TYPES, "macs", "macs_ratio"]).astype(TYPES)
    assert "\nNo latency has been measured yet; measure it with: `dvc repro`\n" in latencies.report(
        SUITE, nothing, {}, (), TOP1
    )
    text = latencies.report(SUITE, nothing, {}, (), TOP1, (), ["dense-1.0-none-0", "l1-0.5-none-0"])
    assert (
        "\nNo latency has been measured yet. All networks to be timed must be on one machine; not on this one: "
        "dense-1.0-none-0, l1-0.5-none-0. When they are here, measure it with: `dvc repro`\n"
    ) in text


def test_who_shares_a_timing_is_told() -> None:
    shared = [("l1-0.5-0", "sfp-0.5-0"), ("fpgm-0.5-0", "sfp-0.5-0")]
    text = latencies.report(SUITE, _timed(), {}, (), TOP1, shared)
    assert "- Of the same shapes as sfp-0.5-0, and not timed apart: l1-0.5-0, fpgm-0.5-0.\n" in text
    assert "not timed apart" not in latencies.report(SUITE, _timed(), {}, (), TOP1)
