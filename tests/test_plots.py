"""The pictures: they show something, in the same bytes each time, whatever is missing."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist

from lib.params.suite import Benchmark, Suite
from lib.plots import accuracy, distillers, drawing, latency, losses, places, ranking, sizes, training
from lib.tables import summaries

SUITE = Suite(
    name="made-up",
    dataset="cifar10",
    teacher="resnet20",
    benchmark=Benchmark("resnet20", ("resnet20",), ("scratch", "fpgm"), (0.7, 0.5), ("none", "kd"), (0, 1), "coupled"),
)

DISTILLERS = ("none", "kd", "kd_at", "kd_sp", "kd_afd", "kd_hap", "lskd")
WIDE = replace(  # 3 methods x 7 distillers x 3 seeds, and dense: all marks of one keep ratio at one spot
    SUITE,
    benchmark=replace(
        SUITE.benchmark, methods=("nggm", "random", "scratch"), keep_ratios=(0.6,), distillers=DISTILLERS, seeds=(0, 1, 2)
    ),
)
NOTHING = pd.DataFrame({"method": [], "macs_ratio": [], "top1": [], "std": []})
OF_MARKS: dict[str, Callable[[Suite, pd.DataFrame], bytes]] = {
    "accuracy": lambda suite, summary: accuracy.picture(suite, summary, NOTHING),
    "sizes": sizes.picture,
    "ranking": ranking.picture,
}


def _cells(suite: Suite) -> pd.DataFrame:
    names = {"dataset": suite.dataset, "network": "resnet20", "teacher": suite.teacher, "compaction": "coupled"}
    better = {method: 2.0 * place for place, method in enumerate((*suite.benchmark.methods, "dense"))}
    top1 = [90 * cell.keep_ratio + cell.seed + better[cell.method] for cell in suite.cells]
    rows = [
        cell._asdict() | {"macs": 1e6 * cell.keep_ratio, "top1": value} for cell, value in zip(suite.cells, top1, strict=True)
    ]
    shares = {"macs_ratio": lambda cells: cells["keep_ratio"], "bytes": lambda cells: 1e5 * cells["keep_ratio"]}
    packed = {"encoded_bytes": lambda cells: 2e4 * cells["keep_ratio"], "encoded_top1": lambda cells: cells["top1"] - 0.1}
    return pd.DataFrame(rows).assign(**names, params=1e3, encoded_ratio=20.0, **shares, **packed)


def _standing(cells: pd.DataFrame) -> pd.DataFrame:
    return summaries.with_standing(summaries.summarise(cells), {}, {}, summaries.comparable(cells))


def _published(method: str, macs_ratio: float) -> pd.DataFrame:
    return pd.DataFrame({"method": [method], "macs_ratio": [macs_ratio], "top1": [70.0], "std": [0.5]})


def _timed(*batches: int) -> pd.DataFrame:
    """Timings beside MACs, of two runtimes on one and on two threads."""
    rows = [
        {"method": method, "keep_ratio": keep, "macs_ratio": keep, "runtime": runtime, "threads": threads, "batch": batch}
        | {"speedup": 1 / keep, "speedup_low": 0.9 / keep, "speedup_high": 1.2 / keep}
        for method, keep in (("dense", 1.0), ("fpgm", 0.7), ("fpgm", 0.5))
        for threads in (1, 2)
        for batch in batches
        for runtime in ("pytorch", "openvino")
    ]
    names = ["method", "keep_ratio", "macs_ratio", "runtime", "threads", "batch", "speedup", "speedup_low", "speedup_high"]
    return pd.DataFrame(rows, columns=names)


def _logs(*stages: str) -> pd.DataFrame:
    labels = {
        "trained": {"method": "resnet20", "keep_ratio": "", "distiller": ""},
        "pruned": {"method": "fpgm", "keep_ratio": "0.7", "distiller": ""},
        "distilled": {"method": "fpgm", "keep_ratio": "0.7", "distiller": "kd"},
    }
    rows: list[dict[str, Any]] = [
        {"stage": stage, "seed": "0", "epoch": str(epoch), "validation_top1": top1, "loss": top1, "loss_kd": top1}
        | labels[stage]
        for stage in stages
        for epoch, top1 in enumerate(("40.0", "", "60.0"))
    ]
    return pd.DataFrame(
        rows, columns=["stage", "seed", "epoch", "validation_top1", "method", "keep_ratio", "distiller", "loss", "loss_kd"]
    )


def _pixels(picture: bytes) -> np.ndarray:
    return image.imread(io.BytesIO(picture), format="png")[..., :3]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Those that are drawn from now on."""
    png, kept = drawing.png, []

    def keep(figure: Figure) -> bytes:
        kept.append(figure)
        return png(figure)

    monkeypatch.setattr(drawing, "png", keep)
    return kept


def _marks(figure: Figure) -> np.ndarray:
    """Where the marks are, in points."""
    axes = figure.axes[0]
    lines = [line.get_xydata() for line in axes.lines if line.get_marker() in drawing.MARKERS]
    return axes.transData.transform(np.concatenate(lines)) * 72 / figure.dpi


def _named(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _draw_all(published: pd.DataFrame) -> list[bytes]:
    cells = _cells(SUITE)
    return [
        accuracy.picture(SUITE, _standing(cells), published),
        latency.picture(SUITE, _timed(1, 128)),
        training.picture(SUITE, _logs("trained", "pruned", "distilled")),
        losses.picture(SUITE, _logs("trained", "pruned", "distilled")),
        sizes.picture(SUITE, _standing(cells)),
    ]


def test_pictures_are_wide_enough_for_a_readme_and_not_blank() -> None:
    for picture in _draw_all(_published("fpgm", 0.6)):
        pixels = _pixels(picture)
        assert pixels.shape[1] == 8 * drawing.DPI
        assert pixels.std() > 0.05
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50  # colours, not just black on white


def test_pictures_are_the_same_bytes_each_time_and_under_any_user_style() -> None:
    first = _draw_all(_published("fpgm", 0.6))
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        assert _draw_all(_published("fpgm", 0.6)) == first


def test_png_names_no_software_and_no_time() -> None:
    picture = drawing.message("hello")
    assert not any(chunk in picture for chunk in (b"Software", b"tEXt", b"tIME"))


def test_published_points_change_the_picture() -> None:
    summary = _standing(_cells(SUITE))
    without = accuracy.picture(SUITE, summary, _published("fpgm", 0.6).head(0))
    assert accuracy.picture(SUITE, summary, _published("fpgm", 0.6)) != without


def test_what_ships_is_drawn_once_something_is_encoded() -> None:
    summary = _standing(_cells(SUITE))
    drawn = sizes.picture(SUITE, summary)
    assert sizes.picture(SUITE, summary.assign(encoded_top1=summary["encoded_top1"] - 5)) != drawn
    nothing = sizes.picture(SUITE, summary.assign(encoded_bytes=float("nan")))
    assert _pixels(nothing).shape[0] == 2 * drawing.DPI


def test_spread_over_seeds_is_drawn_only_when_there_is_one() -> None:
    cells, nothing = _cells(SUITE), _published("fpgm", 0.6).head(0)
    summary = _standing(cells)
    drawn = accuracy.picture(SUITE, summary, nothing)
    assert accuracy.picture(SUITE, summary.assign(top1_std=float("nan")), nothing) != drawn


def test_one_cell_is_enough_for_a_picture() -> None:
    summary = _standing(_cells(SUITE).query("method == 'fpgm'").head(1))
    assert _pixels(accuracy.picture(SUITE, summary, _published("fpgm", 0.6).head(0))).std() > 0.05


@pytest.mark.parametrize("batches", [(), (1,), (1, 32, 128)])
def test_any_number_of_timed_batch_sizes_is_drawn(batches: tuple[int, ...]) -> None:
    assert _pixels(latency.picture(SUITE, _timed(*batches))).std() > 0.01


def test_speed_is_drawn_on_the_fewest_threads_with_its_interval() -> None:
    timed = _timed(1, 128)
    drawn = latency.picture(SUITE, timed)
    assert latency.picture(SUITE, timed[timed["threads"] == 1]) == drawn
    assert latency.picture(SUITE, timed[timed["threads"] == 2]) != drawn
    assert latency.picture(SUITE, timed.assign(speedup_high=2 * timed["speedup"])) != drawn
    assert latency.picture(SUITE, timed.assign(runtime="pytorch")) != drawn


@pytest.mark.parametrize("wide", [0.9, 0.2, 0.01])
def test_any_range_of_speed_has_ticks(wide: float) -> None:
    timed = _timed(1)
    far = timed.assign(macs_ratio=timed["macs_ratio"].where(timed["method"] == "dense", wide), speedup=1 / timed["keep_ratio"])
    assert _pixels(latency.picture(SUITE, far)).std() > 0.01


@pytest.mark.parametrize("stages", [(), ("distilled",), ("trained", "pruned")])
def test_phases_without_logs_are_left_out(stages: tuple[str, ...]) -> None:
    assert _pixels(training.picture(SUITE, _logs(*stages))).std() > 0.01
    assert _pixels(losses.picture(SUITE, _logs(*stages))).std() > 0.01


def test_a_network_that_came_trained_has_no_curve() -> None:
    pruned = _logs("pruned")
    given = pruned.head(1).assign(
        stage="trained", epoch="200", method="resnet20", keep_ratio="", loss="", validation_top1="94.0"
    )
    assert training.picture(SUITE, pd.concat([pruned, given])) == training.picture(SUITE, pruned)
    assert training.picture(SUITE, pd.concat([pruned, given.assign(loss="0.1")])) != training.picture(SUITE, pruned)


def test_every_term_of_a_distillation_has_a_panel_of_its_own() -> None:
    logs = _logs("distilled")
    one = _pixels(losses.picture(SUITE, logs))
    three = logs.assign(loss_cross_entropy="0.5", loss_hap=["0.2", "", "0.1"])
    assert _pixels(losses.picture(SUITE, three)).shape[0] > one.shape[0]
    assert losses.picture(SUITE, three) != losses.picture(SUITE, three.assign(loss_hap=["0.2", "", "0.3"]))


def test_a_method_keeps_its_colour_whichever_others_are_there() -> None:
    everything = drawing.of_suite(SUITE, ["dense", "scratch", "fpgm"])
    assert drawing.of_suite(SUITE, ["fpgm"]) == {"fpgm": everything["fpgm"]}
    many = replace(SUITE, benchmark=replace(SUITE.benchmark, methods=("asfp", "fpgm", "l1")))
    assert drawing.of_suite(many, ["l1"])["l1"] == drawing.of_suite(many, ["asfp", "fpgm", "l1"])["l1"]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("name", OF_MARKS)
def test_marks_of_many_distillers_do_not_cover_one_another(name: str, seeds: tuple[int, ...], figures: list[Figure]) -> None:
    suite = replace(WIDE, benchmark=replace(WIDE.benchmark, seeds=seeds))
    OF_MARKS[name](suite, _standing(_cells(suite)))
    marks = _marks(figures[0])
    assert len(marks) == {"accuracy": 28, "sizes": 56, "ranking": 21}[name]
    assert pdist(marks).min() > 0.85 * drawing.LOOK["lines.markersize"]


@pytest.mark.parametrize("name", OF_MARKS)
def test_a_distiller_keeps_its_marker_whichever_others_are_there(name: str) -> None:
    one = replace(SUITE, benchmark=replace(SUITE.benchmark, distillers=("kd",)))
    cells = _cells(one)
    assert OF_MARKS[name](SUITE, _standing(cells)) != OF_MARKS[name](one, _standing(cells))
    everything = drawing.markers_of_suite(WIDE, sorted(DISTILLERS))
    assert drawing.markers_of_suite(WIDE, ["lskd"]) == {"lskd": everything["lskd"]}
    assert len(set(everything.values())) == len(DISTILLERS)


def test_a_keep_ratio_keeps_its_colour_whichever_others_are_there() -> None:
    assert ranking._colours(SUITE, [0.5])[0.5] == ranking._colours(SUITE, [0.7, 0.5])[0.5]


def test_what_ships_in_float32_is_hollow_and_hides_nothing(figures: list[Figure]) -> None:
    sizes.picture(WIDE, _standing(_cells(WIDE)))
    faces = [line.get_markerfacecolor() for line in figures[0].axes[0].lines if line.get_marker() in drawing.MARKERS]
    assert faces.count("none") == len(faces) / 2
    assert "white" not in faces


def test_series_at_one_place_stand_side_by_side_around_it() -> None:
    first, second = places.side_by_side(pd.Series([40.0, 40.0]), (0.0, 50.0))
    assert first < 40 < second
    assert first + second == pytest.approx(80)


@pytest.mark.parametrize("suite", [SUITE, WIDE])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("has_dense", [True, False])
def test_no_mark_stands_farther_from_its_macs_than_a_twenty_fifth_of_the_axis(
    suite: Suite, count: int, has_dense: bool, figures: list[Figure]
) -> None:
    cells = _cells(suite)
    summary = _standing(cells[(cells["seed"] < count) & (has_dense | (cells["method"] != "dense"))])
    accuracy.picture(suite, summary, NOTHING)
    (axes,) = figures[0].axes
    low, high = axes.get_xlim()
    drawn = np.concatenate([line.get_xdata() for line in axes.lines if line.get_marker() in drawing.MARKERS])
    true = np.unique(summary["macs"]) / drawing.MILLION
    assert low < 1 < high  # the dense network's
    assert np.abs(drawn[:, None] - true).min(axis=1).max() <= 0.0401 * (high - low)


def test_a_distiller_stands_at_one_distance_whatever_the_method() -> None:
    names = pd.Series(["kd", "none", "kd", "none", "kd_at"])
    xs = pd.Series([19.0, 19.0, 19.1, 19.1, 40.0])
    aside = places.beside(WIDE, names, xs, (10.0, 50.0), None) - xs
    assert aside[0] == pytest.approx(aside[2])
    assert aside[1] == pytest.approx(aside[3])
    assert aside[1] < 0 < aside[0]
    assert aside[4] == 0


def test_an_axis_of_one_cost_does_not_make_much_of_small_differences() -> None:
    low, high = places.limits([19.0, 18.9, float("nan")], 10.0)
    assert high - low > 10.0
    assert places.limits([19.0, 40.0], 1.0)[1] - 40.0 == pytest.approx(19.0 - places.limits([19.0, 40.0], 1.0)[0])


def test_a_legend_is_in_the_order_of_the_suite() -> None:
    summary = _standing(_cells(WIDE))  # in another order
    assert list(drawing.of_suite(WIDE, summary["method"])) == ["dense", *WIDE.benchmark.methods]
    assert list(drawing.of_suite(WIDE, ["scratch", "nggm"])) == ["nggm", "scratch"]
    assert list(drawing.markers_of_suite(WIDE, summary["distiller"])) == list(DISTILLERS)
    assert list(drawing.markers_of_suite(WIDE, ["lskd", "kd_at"])) == ["kd_at", "lskd"]
    assert list(drawing.of_distillers(WIDE, ["lskd", "none"])) == ["none", "lskd"]


def test_a_reference_is_of_the_first_distiller_that_it_has_and_says_so(figures: list[Figure]) -> None:
    cells = _cells(WIDE)
    is_late = (cells["method"] == "random") & cells["distiller"].isin(["none", "kd"])
    ranking.picture(WIDE, _standing(cells[~is_late].iloc[::-1]))
    accuracy.picture(WIDE, _standing(cells[~is_late | (cells["method"] == "dense")]), NOTHING)
    assert _named(figures[0])[-3:] == ["dense, none", "random filters, kd_at", "from scratch, none"]
    assert "dense, none" in _named(figures[1])


def test_a_reference_of_a_suite_with_one_distiller_names_none(figures: list[Figure]) -> None:
    one = replace(SUITE, benchmark=replace(SUITE.benchmark, distillers=("kd",)))
    accuracy.picture(one, _standing(_cells(one)), NOTHING)
    assert _named(figures[0])[-1] == "dense"


@pytest.mark.parametrize(
    ("smallest", "largest"), [(90.0, 110.0), (110.0, 190.0), (210.0, 800.0), (40.0, 1100.0), (9.0, 9000.0)]
)
def test_an_axis_of_bytes_has_ticks(smallest: float, largest: float, figures: list[Figure]) -> None:
    summary = _standing(_cells(SUITE)).assign(encoded_bytes=smallest, bytes=largest)
    sizes.picture(SUITE, summary)
    axes = figures[0].axes[0]
    low, high = axes.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axes.get_xticks()) <= 16


def test_a_method_that_lacks_seeds_says_how_many_it_has() -> None:
    cells = _cells(SUITE)
    fewer = cells[(cells["method"] != "fpgm") | (cells["seed"] == 0)]
    assert ranking._names(_standing(cells), ["fpgm", "scratch"]) == ["fpgm", "scratch"]
    assert ranking._names(_standing(fewer), ["fpgm", "scratch"]) == ["fpgm (1 seed)", "scratch"]
    some = cells[(cells["method"] != "fpgm") | (cells["seed"] == 0) | (cells["distiller"] == "none")]
    assert ranking._names(_standing(some), ["fpgm", "scratch"]) == ["fpgm (1-2 seeds)", "scratch"]


def test_many_published_methods_have_a_look_each() -> None:
    names = [f"method {number}" for number in range(40)]
    looks = [tuple(look.items()) for look in drawing.hollow(names).values()]
    assert len(set(looks)) == len(names)


def test_a_legend_has_no_head_without_entries() -> None:
    assert drawing.headed("Reference", []) == []
    assert [one.get_label() for one in drawing.headed("Reference", [drawing.entry("dense")])] == ["Reference", "dense"]


@pytest.mark.parametrize("seeds", [(0, 1), (1,)])
def test_the_front_is_at_true_macs_and_says_when_it_is_of_shared_seeds(seeds: tuple[int, ...], figures: list[Figure]) -> None:
    cells = _cells(SUITE)
    summary = _standing(cells[cells["seed"].isin(seeds) | (cells["method"] == "dense")])
    accuracy.picture(SUITE, summary, NOTHING)
    (front,) = [line for line in figures[0].axes[0].lines if line.get_color() == accuracy.FRONT]
    true = set(zip(summary["macs"] / drawing.MILLION, summary["top1_mean"], strict=True))
    assert len(front.get_xydata()) > 1
    assert {(x, y) for x, y in front.get_xydata()} <= true
    says = "Pareto front" if seeds == (0, 1) else "Pareto front,\nshared seeds"
    assert says in _named(figures[0])


def test_marks_of_equal_macs_stand_on_a_band(figures: list[Figure]) -> None:
    accuracy.picture(SUITE, _standing(_cells(SUITE)), NOTHING)
    accuracy.picture(SUITE, _standing(_cells(SUITE)).drop_duplicates("macs"), NOTHING)
    accuracy.picture(SUITE, _standing(_cells(SUITE).query("seed == 0 and distiller == 'kd'")), NOTHING)
    assert ["about equal MACs" in _named(figure) for figure in figures] == [True, False, False]
    bands = [band.get_window_extent() for band in figures[0].axes[0].patches]
    marks = _marks(figures[0]) * figures[0].dpi / 72
    assert len(bands) == len((0.7, 0.5, "dense"))
    assert all(sum(band.x0 < x < band.x1 for band in bands) == 1 for x, _ in marks)


def test_a_front_of_one_row_is_no_line() -> None:
    summary, nothing = _standing(_cells(SUITE)), _published("fpgm", 0.6).head(0)
    (first, *_) = summary.index[summary["best_for"].str.contains("macs")]
    alone = summary.assign(best_for=["macs" if place == first else "" for place in summary.index])
    none = summary.assign(best_for="")
    assert accuracy.picture(SUITE, alone, nothing) == accuracy.picture(SUITE, none, nothing)
    assert accuracy.picture(SUITE, summary, nothing) != accuracy.picture(SUITE, none, nothing)


def test_long_legends_make_the_picture_higher() -> None:
    summary = _standing(_cells(SUITE))
    many = pd.concat([_published(f"method {number}", 0.6) for number in range(30)])
    low = _pixels(accuracy.picture(SUITE, summary, many.head(1)))
    assert _pixels(accuracy.picture(SUITE, summary, many)).shape[0] > low.shape[0]


@pytest.mark.parametrize("count", [3, 9, 14])
def test_every_method_has_a_colour_of_its_own(count: int) -> None:
    methods = ["dense", "scratch", "random", *(f"method {number}" for number in range(count))]
    assert len(set(drawing.colours(methods).values())) == len(methods)


def test_series_at_equal_x_are_set_apart_around_it_in_order() -> None:
    xs = pd.Series([9.0, 1.0, 1.0, 1.0, 1.1, 5.0])
    placed = places.side_by_side(xs, (0.0, 10.0))
    step = places.STEP * 10
    assert placed[[0, 5]].tolist() == [9, 5]  # they are alone
    assert placed[[1, 2, 3]].diff()[1:].tolist() == pytest.approx([step, step])
    assert placed[4] > placed[3] + step
    assert (placed - xs).sum() == pytest.approx(0)


def test_marks_that_do_not_touch_stand_where_they_are() -> None:
    xs = pd.Series([0.0, 15.0, 3.0, 6.0, 9.0, 12.0])
    assert places.side_by_side(xs, (0.0, 40.0)).tolist() == xs.tolist()


def test_any_number_of_marks_side_by_side_stays_near_their_place() -> None:
    placed = places.side_by_side(pd.Series([0.0, *[1.0] * 500]), (0.0, 2.0))
    assert (placed[1:] - 1).abs().max() <= 2 * places.REACH + 1e-9
    assert placed.diff()[2:].min() > 0


def test_marks_without_bars_move_only_from_marks_at_the_same_spot() -> None:
    xs, ys = pd.Series([1.0, 1.0, 1.0, 1.0, 5.0]), pd.Series([50.0, 60.0, 60.0, 60.0, 60.0])
    step = places.STEP * 6
    assert places.swarm(xs, ys, (0.0, 6.0)).tolist() == pytest.approx([1, 1, 1 + step, 1 - step, 5])


def test_more_marks_at_one_spot_than_there_is_room_for_stay_near_it() -> None:
    placed = places.swarm(pd.Series([1.0] * 9), pd.Series([60.0] * 9), (0.0, 1.0))
    assert (placed - 1).abs().max() <= places.REACH + 1e-9
    assert placed.sort_values().diff().min() == pytest.approx(places.STEP / 2)


def _distilled(*runs: tuple[str, str, int]) -> pd.DataFrame:
    """Logs of distillation of (distiller, method, seed); the accuracy, and the term, is the seed's number."""
    rows = [
        {"stage": "distilled", "distiller": distiller, "method": method, "seed": str(seed), "epoch": str(epoch)}
        | {"keep_ratio": "1.0" if method == "dense" else "0.6", "validation_top1": str(float(seed)), "loss": "1.0"}
        | {"loss_kd": str(float(seed))}
        for distiller, method, seed in runs
        for epoch in (1, 2)
    ]
    return pd.DataFrame(rows)


def _titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_more_distillers_than_methods_are_compared_in_a_panel_a_method(figures: list[Figure]) -> None:
    runs = [(name, method, seed) for name in ("lskd", "none", "kd") for method in ("nggm", "dense") for seed in (0, 1)]
    training.picture(WIDE, _distilled(*runs))
    assert _titles(figures[0]) == ["Distillation: dense", "Distillation: nggm"]
    chosen = drawing.of_distillers(WIDE, DISTILLERS)
    assert [{line.get_color() for line in axes.lines} for axes in figures[0].axes] == [
        {chosen[name] for name in ("none", "kd", "lskd")}
    ] * 2
    assert _named(figures[0])[:4] == ["Distillation panels", "none", "kd", "lskd"]
    training.picture(SUITE, _logs("distilled"))
    assert _titles(figures[1]) == ["Distillation: kd"]
    assert _named(figures[1])[:2] == ["Method", "fpgm"]


def test_curves_say_over_how_many_seeds_they_are(figures: list[Figure]) -> None:
    full = [("none", "nggm", 0), ("none", "nggm", 1), ("kd", "nggm", 0)]
    for runs in (full, full[:2], full[:1]):
        training.picture(WIDE, _distilled(*runs))
    told = [figure.get_suptitle().rpartition("training, ")[2] for figure in figures]
    assert told == ["mean over 1-2 seeds", "mean over 2 seeds", "1 seed"]


def test_terms_are_of_the_networks_that_all_drawn_distillers_have(figures: list[Figure]) -> None:
    both = [("none", "nggm", 1), ("kd", "nggm", 1), ("none", "random", 1), ("kd", "random", 1)]
    more = [("kd", "nggm", 9), ("kd", "dense", 1), ("none", "dense", 1), ("lskd", "dense", 1)]
    losses.picture(WIDE, _distilled(*both, *more))
    (axes,) = figures[0].axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1.0, 1.0]] * 2
    assert _named(figures[0]) == ["Distiller", "none", "kd"]
    assert "of 2 networks" in figures[0].get_suptitle()
    losses.picture(WIDE, _distilled(*more[1:]))
    assert _named(figures[1]) == ["Distiller", "none", "kd", "lskd"]


def _compared(count: int, **differs: bool) -> pd.DataFrame:
    """Differences of distillers to none, over so many seeds."""
    rows = [
        {"method": method, "keep_ratio": keep, "distiller": name, "reference": reference}
        | {"difference": 1.0, "low": 0.5, "high": 1.5, "n": count, "differs": told}
        for method, keep in (("random", 0.6), ("nggm", 0.6), ("dense", 1.0))
        for name, told in differs.items()
        for reference in ("none", "kd", "random")
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("count", "intervals"), [(1, 0), (2, 0), (3, 6)])
def test_what_distillers_add_has_a_row_a_network_and_a_mark_a_distiller(
    count: int, intervals: int, figures: list[Figure]
) -> None:
    distillers.picture(WIDE, _compared(count, lskd=True, kd=False))
    (axes,) = figures[0].axes
    marks = [line for line in axes.lines if line.get_marker() in drawing.MARKERS]
    chosen = drawing.of_distillers(WIDE, DISTILLERS)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["dense 1.0", "nggm 0.6", "random 0.6"]
    assert sum(list(line.get_xdata()) == [0.5, 1.5] for line in axes.lines) == intervals
    assert len(marks) == 3 * 2
    assert {line.get_color() for line in marks if line.get_markerfacecolor() == "white"} == {chosen["kd"]}
    assert {line.get_color() for line in marks if line.get_markerfacecolor() != "white"} == {chosen["lskd"]}
    assert _named(figures[0])[:3] == ["Distiller", "kd", "lskd"]
    assert axes.get_xlabel() == "Points of top-1 more than without distillation"


@pytest.mark.parametrize(
    ("names", "said"), [(("kd", "lskd"), "trains no network both"), (("none",), "trains no network both"), (DISTILLERS, "yet")]
)
def test_why_nothing_is_known_of_distillers_is_said(names: tuple[str, ...], said: str, figures: list[Figure]) -> None:
    suite = replace(WIDE, benchmark=replace(WIDE.benchmark, distillers=names))
    distillers.picture(suite, _compared(1, kd=True).query("reference == 'kd'"))
    assert said in figures[0].texts[0].get_text()
