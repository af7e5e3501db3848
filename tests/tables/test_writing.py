"""Frames as text: fixed formats, blanks, Markdown that reads as plain text."""

import pandas as pd
import pytest

from lib.tables import writing


def test_csv_has_a_fixed_format_for_each_column_and_blanks() -> None:
    frame = pd.DataFrame({"method": ["l1", "l2"], "macs": [1e6, None], "top1": [90.0, 91.23456], "keep_ratio": [0.7, 1.0]})
    assert writing.csv(frame) == "method,macs,top1,keep_ratio\nl1,1000000,90.0000,0.7\nl2,,91.2346,1.0\n"


def test_csv_has_no_negative_zero() -> None:
    assert writing.csv(pd.DataFrame({"delta_to_dense": [-1e-9]})) == "delta_to_dense\n0.0000\n"


def test_markdown_pads_words_left_and_figures_right() -> None:
    lines = writing.markdown(["Method", "Keep", "Distiller", "Top-1"], [["l1", "0.7", "none", "9"]]).splitlines()
    assert lines == [
        "| Method | Keep | Distiller | Top-1 |",
        "| ------ | ---- | --------- | ----: |",
        "| l1     | 0.7  | none      |     9 |",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.4, "999"),
        (999.6, "1.00 k"),
        (1234, "1.23 k"),
        (41_216, "41.2 k"),
        (125_485_056, "125 M"),
        (4.1e9, "4.10 G"),
        (999_950, "1.00 M"),
        (9_996, "10.0 k"),
        (99_960, "100 k"),
    ],
)
def test_counts_are_written_in_three_digits(count: float, text: str) -> None:
    assert writing.scaled(count) == text


def test_bytes_keep_all_digits() -> None:
    frame = pd.DataFrame({"encoded_bytes": [25557032], "encoded_bytes_values": [25557031], "encoded_stream_bytes": [12345678]})
    assert writing.csv(frame).splitlines()[1] == "25557032,25557031,12345678"


def test_a_bar_in_a_name_is_no_column() -> None:
    assert writing.markdown(["a", "b"], [["x | y", "z"]]).splitlines()[2] == "| x \\| y | z   |"
