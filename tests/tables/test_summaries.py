"""Means, spreads and paired differences over seeds."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.tables import summaries, writing


def _cells(*rows: tuple[str, float, str, int, float]) -> pd.DataFrame:
    columns = ["method", "keep_ratio", "distiller", "seed", "top1"]
    sizes = {"params": 1.0, "macs": 10.0, "macs_ratio": 1.0}
    fixed = {"dataset": "digits", "network": "resnet8", "teacher": "resnet14", "compaction": "scatter"}
    return pd.DataFrame(rows, columns=columns).assign(**fixed, **sizes)


def test_spread_is_the_sample_standard_deviation() -> None:
    summary = summaries.summarise(_cells(("fpgm", 0.7, "none", 0, 90.0), ("fpgm", 0.7, "none", 1, 92.0)))
    assert summary["top1_std"].tolist() == [1.4142]
    assert summary["n"].tolist() == [2]


def test_an_interval_ends_where_accuracies_do() -> None:
    summary = summaries.summarise(_cells(("fpgm", 0.7, "none", 0, 99.9), ("fpgm", 0.7, "none", 1, 98.0)))
    assert summary["top1_high"].tolist() == [100.0]
    assert 80 < summary["top1_low"].item() < 98


def test_whoever_shows_two_decimals_rounds_the_same_number() -> None:
    """The mean of these is 85.085, which their sum in binary misses by its last bit."""
    seeds = (("random", 0.5, "kd", 0, 85.12), ("random", 0.5, "kd", 1, 85.05))
    mean = summaries.summarise(_cells(*seeds))["top1_mean"].item()
    assert mean == float(writing.csv(pd.DataFrame({"top1_mean": [mean]})).split()[1])


def test_one_seed_has_a_blank_spread() -> None:
    summary = summaries.summarise(_cells(("fpgm", 0.7, "none", 0, 90.0)))
    assert summary["top1_std"].isna().all()
    assert writing.csv(summary[["top1_mean", "top1_std", "n"]]) == "top1_mean,top1_std,n\n90.0000,,1\n"


def test_difference_to_dense_is_paired_by_seed_and_distiller() -> None:
    dense = (("dense", 1.0, "none", 0, 95.0), ("dense", 1.0, "none", 1, 97.0), ("dense", 1.0, "kd", 0, 99.0))
    pruned = (("fpgm", 0.7, "none", 1, 96.0), ("fpgm", 0.7, "kd", 0, 96.5), ("fpgm", 0.7, "kd", 1, 10.0))
    rows = summaries.summarise(_cells(*dense, *pruned)).set_index(["method", "distiller"])
    assert rows.loc[("fpgm", "none"), "delta_to_dense"] == pytest.approx(-1.0)  # not to the mean of both dense seeds
    assert rows.loc[("fpgm", "kd"), "delta_to_dense"] == pytest.approx(-2.5)  # seed 1 has no dense partner
    assert rows.loc[("fpgm", "kd"), "delta_n"] == 1


def test_difference_to_none_is_of_the_same_network_and_seed() -> None:
    cells = _cells(("fpgm", 0.7, "none", 0, 90.0), ("fpgm", 0.7, "hap", 0, 93.0), ("fpgm", 0.5, "hap", 0, 50.0))
    rows = summaries.summarise(cells).set_index(["keep_ratio", "distiller"])
    assert rows.loc[(0.7, "hap"), "delta_to_none"] == pytest.approx(3.0)
    assert pd.isna(rows.loc[(0.5, "hap"), "delta_to_none"])


def test_standing_is_decided_on_equal_seeds() -> None:
    """fpgm has the best seed of all, and it alone."""
    cells = _cells(
        *(("l1", 0.7, "none", seed, 90.0 + seed) for seed in (0, 1, 2)),
        *(("sfp", 0.7, "none", seed, 89.0 + seed) for seed in (0, 1, 2)),
        ("fpgm", 0.7, "none", 2, 93.0),
        *(("l1", 0.5, "none", seed, 80.0 + seed) for seed in (0, 1, 2)),
    )
    cells = cells.assign(macs=10 * cells["keep_ratio"], params=cells["keep_ratio"])
    among = summaries.comparable(cells)
    assert among["method"].tolist() == ["l1", "l1", "sfp"]
    summary = summaries.with_standing(summaries.summarise(cells), {}, {}, among)
    assert summary["best_for"].tolist() == ["", "macs, bytes", "macs, bytes", ""]


def test_two_files_of_one_network_cost_the_same() -> None:
    """What a file says of its network is some bytes longer or shorter."""
    cells = _cells(("l1", 0.7, "none", 0, 90.0), ("sfp", 0.7, "none", 0, 89.0), ("sfp", 0.5, "none", 0, 80.0))
    cells = cells.assign(params=[7, 7, 5], bytes=[1028, 1000, 800])
    summary = summaries.with_standing(summaries.summarise(cells), {}, {}, summaries.comparable(cells))
    assert summary["best_for"].tolist() == ["bytes", "", "bytes"]


def test_means_are_compared_on_the_shared_seeds_alone() -> None:
    """The second seed of l1 would make it the best."""
    cells = _cells(("l1", 0.7, "none", 0, 90.0), ("l1", 0.7, "none", 1, 99.0), ("sfp", 0.7, "none", 0, 91.0))
    fpgm = _cells(("fpgm", 0.7, "none", 0, 89.0)).assign(macs=9.0, params=0.9)
    both = pd.concat([cells, fpgm], ignore_index=True)
    summary = summaries.with_standing(summaries.summarise(both), {}, {}, summaries.comparable(both)).set_index("method")
    assert summary["best_for"].to_dict() == {"fpgm": "macs, bytes", "l1": "", "sfp": "macs, bytes"}


def _best_for(sizes: list[float], tops: list[float], macs: list[float]) -> list[str]:
    """Of rows l1, sfp, taylor, … with these packed sizes, accuracies and MACs."""
    names = ("l1", "sfp", "taylor", "wanda")[: len(sizes)]
    cells = _cells(*((name, 0.7, "none", 0, top1) for name, top1 in zip(names, tops, strict=True)))
    cells = cells.assign(encoded_bytes=sizes, encoded_top1=tops, macs=macs)
    return summaries.with_standing(summaries.summarise(cells), {}, {}, summaries.comparable(cells))["best_for"].tolist()


def test_a_packed_file_that_is_a_few_bytes_smaller_is_no_reason_to_take_it() -> None:
    """The third is a hundredth smaller than the first, exactly; the fourth is by more."""
    found = _best_for([112_000, 111_950, 110_880, 110_879], [65.0, 64.0, 63.0, 62.0], [4, 3, 3, 2])
    assert found == ["macs, bytes", "macs", "", "macs, bytes"]


def test_a_cost_that_all_rows_share_is_none_to_be_best_for() -> None:
    assert _best_for([112_000, 90_000], [65.0, 64.0], [3, 3]) == ["bytes", "bytes"]
    assert _best_for([112_000, 111_950], [65.0, 64.0], [3, 2]) == ["macs", "macs"]


def test_controls_and_reference_distillers_come_first() -> None:
    names = [("asfp", "hap"), ("asfp", "kd"), ("asfp", "none"), ("random", "kd"), ("scratch", "kd"), ("dense", "kd")]
    cells = _cells(*((method, 0.7, distiller, 0, 1.0) for method, distiller in names))
    assert list(summaries.ordered(cells)[["method", "distiller"]].itertuples(index=False, name=None)) == names[::-1]


def test_pareto_front_leaves_out_what_is_beaten() -> None:
    summary = pd.DataFrame({"macs": [1, 2, 2, 3, 4], "top1_mean": [50.0, 70.0, 60.0, 65.0, 80.0]})
    assert summaries.pareto(summary).index.tolist() == [0, 1, 4]


def test_equal_rows_are_on_the_front_together() -> None:
    summary = pd.DataFrame({"macs": [1, 1, 1, 2, 2, 3], "top1_mean": [70.0, 60.0, 70.0, 80.0, 70.0, 80.0]})
    assert summaries.pareto(summary).index.tolist() == [0, 2, 3]


def test_a_row_a_little_smaller_each_does_not_hide_one_that_is_much_smaller() -> None:
    """Each of 100 rows is as cheap as the one before and less accurate; the last has 45 % of the first's size."""
    steps = range(100)
    rows = pd.DataFrame({"size": [1000 * 0.992**step for step in steps], "top1": [90.0 - 0.01 * step for step in steps]})
    front = summaries.pareto(rows, "size", "top1", 0.01)
    assert front.index.tolist() == [*range(98, -1, -2)]  # 0.992 is as cheap, its square is not


@given(st.lists(st.tuples(st.integers(95, 105), st.integers(1, 4)), min_size=1, max_size=12), st.sampled_from([0.0, 0.03]))
def test_each_row_that_is_left_out_is_beaten_by_one_that_stays_and_none_of_these_by_another(
    points: list[tuple[int, int]], alike: float
) -> None:
    rows = pd.DataFrame(points, columns=["size", "top1"])
    stay = set(summaries.pareto(rows, "size", "top1", alike).index)

    def beaten(row: int) -> bool:
        size, top1 = points[row]
        others = [points[other] for other in stay - {row}]
        as_cheap = [other for other in others if not size < (1 - alike) * other[0]]
        return any(other[1] > top1 or (other[1] == top1 and other[0] < (1 - alike) * size) for other in as_cheap)

    assert {row for row in rows.index if not beaten(row)} == stay


@pytest.mark.parametrize("right", [((327, 330, 344), (329, 329, 343)), ((300, 301, 302), (302, 301, 300))])
def test_means_of_as_many_right_images_are_on_the_front_together(right: tuple[tuple[int, ...], ...]) -> None:
    """They are of cells rounded to six decimals, and differ in the last of them."""
    tops = [[round(100 * count / 359, 6) for count in counts] for counts in right]
    cells = _cells(
        *((name, 0.7, "none", seed, tops[row][seed]) for row, name in enumerate(("l1", "sfp")) for seed in range(3))
    )
    assert set(summaries.pareto(summaries.summarise(cells))["method"]) == {"l1", "sfp"}
