"""The table of layer times: measured over the whole grid, resumed where it was interrupted, read back as it was written."""

import json
from pathlib import Path

import pytest

from lib.channels.steps import Depthwise, Layer
from lib.cost.latency_table import parsed
from lib.cost.layer_shapes import LayerShape, grid, layer_shapes
from lib.networks import outline
from lib.networks.architecture import Architecture
from lib.params.named import Named
from lib.runtimes import layer_times
from lib.runtimes.layer_times import Stopwatch, points
from lib.steps import latency_table
from lib.steps.latency_table import Wanted, measure_table, told

WANTED = Wanted("small", Named("resnet8", {}, None), (3, 8, 8), 10, 1, 1, 1)


class Counted:
    """A bar that nobody sees."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done = total, done

    def update(self, n: float = 1) -> object:
        self.done += int(n)
        return None

    def set_postfix_str(self, s: str) -> object:
        return s


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_table, "MODES", ("coupled",))
    monkeypatch.setattr(latency_table, "SHARES", (0.6,))
    monkeypatch.setattr(latency_table, "ROUNDS", 1)
    monkeypatch.setattr(layer_times, "ROUNDS", 1)
    monkeypatch.setattr(layer_times, "WARMUP", 0)


def test_a_table_holds_every_layer_and_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, bars = tmp_path / "t.json", []

    def bar(total: int, done: int) -> Counted:
        bars.append(Counted(total, done))
        return bars[-1]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(latency_table, "_whole", stop)  # all layers are measured by then
        with pytest.raises(KeyboardInterrupt):
            measure_table(WANTED, out, bar)
    part = json.loads((tmp_path / "t.part").read_text())
    table = measure_table(WANTED, out, bar)
    assert [(one.total, one.done) for one in bars] == [(bars[0].total, bars[0].total)] * 2
    assert not (tmp_path / "t.part").exists()
    assert parsed(out.read_bytes(), "t.json") == table
    assert json.loads(json.dumps(part["layers"])) == json.loads(out.read_text())["layers"]
    shapes = layer_shapes(outline(Architecture("resnet8", 10, 3, (8, 8))))
    assert table.layers.keys() == {str(shape) for shape in shapes.values()}
    dense, *smaller = table.whole  # as many as what was measured allows: none where all of it was noise
    assert all(one.sum_ms < dense.sum_ms for one in smaller)
    assert "allocation: latency" in told(table, "0" * 64, out)


def test_what_is_no_part_of_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.part").write_text("[]")
    with pytest.raises(ValueError, match=r"t\.part is not what this tool left; remove it"):
        measure_table(WANTED, tmp_path / "t.json", Counted)


@pytest.mark.parametrize(
    "shape",
    [
        LayerShape("conv", 16, 8, 1, (3, 3), (9, 9), (5, 5)),
        LayerShape("conv", 3, 8, 1, (7, 7), (32, 32), (16, 16)),
        LayerShape("conv", 16, 16, 4, (3, 3), (8, 8), (8, 8)),
        LayerShape("depthwise", 1, 16, 16, (3, 3), (8, 8), (4, 4)),
        LayerShape("linear", 24, 10, 1, (1, 1), (1, 1), (1, 1)),
    ],
)
def test_every_kind_of_layer_can_be_timed(shape: LayerShape) -> None:
    done: list[int] = []
    times = Stopwatch(2, 1, 1).times(shape, 0.0, lambda: done.append(1))
    assert len(done) == points(shape)
    assert (times.inputs, times.outputs) == shape.grid
    assert all(ms > 0.0 for row in times.ms for ms in row)


def test_the_grid_is_multiples_of_eight_and_the_width() -> None:
    assert grid(10) == (8, 10)
    assert grid(3) == (3,)
    assert grid(64) == tuple(range(8, 65, 8))
    assert grid(960) == tuple(range(32, 961, 32))
    assert grid(48, 6) == (12, 24, 36, 48)


def test_sizes_of_all_layers_come_out_as_the_network_has_them() -> None:
    network = outline(Architecture("resnet50", 10, 3, (64, 64)))
    for step in network.description.steps:
        if isinstance(step, Layer | Depthwise) and len(step.output.shape) == 4:
            shape = layer_shapes(network)[step]
            pads, strides = layer_times._pads(shape), layer_times._strides(shape)
            for axis in (0, 1):
                padded = shape.before[axis] + pads[axis] + pads[axis + 2]
                assert (padded - shape.kernel[axis]) // strides[axis] + 1 == shape.after[axis], step.name
