"""The front as a table and a picture: what stands in them is what the results say."""

import csv
import dataclasses
import io

import numpy as np
import pytest

from jaxnas import nn
from jaxnas.commands.cost_front_report import point, write_front
from jaxnas.reports.statistics import Spread
from jaxnas.runs.edge_costs import edge_costs
from jaxnas.spaces import AdaptationSpace
from support import results, tiny

SPACE = AdaptationSpace(tiny.BASE, "full")
SHAPE = (8, 8, 1)


def cost():
    return edge_costs("macs", SPACE, SHAPE, 4, batch_size=2, dtype="float32", table=None)


def result(method, seed, choices, accuracy):
    genotype = SPACE.decode(np.array(choices))
    size = nn.cost(nn.build(genotype, 4), SHAPE)
    sizes = {"params": size.params, "macs": size.macs}
    return results.result(seed, accuracy, method, genotype=genotype, **sizes)


BASE = [2, 2, 2, 2, 2]
SMALL = [2, 1, 1, 2, 0]
SMALLER = [0, 1, 0, 2, 0]


@pytest.fixture
def points():
    original = [result("original", seed, BASE, 80 + seed) for seed in (0, 1)]
    adapted = [result("full", 0, SMALL, 70.0), result("full", 1, SMALLER, 60.0)]
    last = [result("full", 0, SMALLER, 50.0)]
    costs = cost()
    return [
        point(target, rows, SPACE, costs)
        for target, rows in ((None, original), (0.9, adapted), (0.5, last))
    ]


def test_a_point_is_the_mean_over_its_seeds(points):
    base, small, smaller = (
        nn.cost(nn.build(SPACE.decode(np.array(each)), 4), SHAPE) for each in (BASE, SMALL, SMALLER)
    )
    original, both, one = points
    assert (original.summary.method, original.target) == ("original", None)
    assert original.summary.accuracy == (80.5, pytest.approx(0.5**0.5))
    assert original.cost == (100, 0)
    assert both.target == 0.9
    assert both.summary.accuracy == (65, pytest.approx(50**0.5))
    shares = [100 * each.macs / base.macs for each in (small, smaller)]
    assert both.cost.mean == pytest.approx(sum(shares) / 2)
    assert both.cost.std == pytest.approx((shares[0] - shares[1]) / 2**0.5)
    assert both.summary.mean("params") == (small.params + smaller.params) / 2
    assert (one.summary.accuracy.std, one.cost.std) == (None, None)
    assert one.summary.mean("macs") == smaller.macs


def test_the_tables_have_every_point(points, tmp_path):
    write_front(tmp_path, points, "macs", "tiny on tiny")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "front.csv").read_text())))
    assert [row["target"] for row in rows] == ["", "0.9", "0.5"]
    assert [float(row["accuracy"]) for row in rows] == [80.5, 65.0, 50.0]
    assert rows[2]["accuracy_std"] == ""
    text = (tmp_path / "front.md").read_text()
    assert "| original |  | 2 | 100.0 ± 0.0 | 80.50 ± 0.71 |" in text
    assert "multiply-adds, % of the base" in text
    assert f"| full | 50% | 1 | {points[2].cost:.1f} | 50.00 |" in text
    assert "| -15.50 [" in text  # 70 and 60 less 80 and 81
    assert "| -30.00 (n = 1: no interval) |" in text
    assert "latency, ms" not in text
    timed = [each._replace(latency=Spread(0.0125, 0.001)) for each in points]
    write_front(tmp_path, timed, "macs", "tiny on tiny")
    assert "| 12.50 ± 1.00 |" in (tmp_path / "front.md").read_text()


def test_the_picture_is_the_same_every_time(points, tmp_path):
    contents = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        write_front(folder, points, "latency", "tiny on tiny")
        contents.append([(folder / f"front.{form}").read_bytes() for form in ("svg", "png")])
    assert contents[0] == contents[1]
    svg = contents[0][0].decode()
    for words in ("latency, % of the base", "test accuracy, %", "original", "full"):
        assert words in svg
    moved = [points[0]._replace(cost=Spread(90.0, None)), *points[1:]]
    write_front(tmp_path, moved, "latency", "tiny on tiny")
    assert (tmp_path / "front.svg").read_bytes() != contents[0][0]


def test_a_network_of_another_base_is_no_point(points):
    row = result("full", 0, SMALL, 70.0)
    other = dataclasses.replace(tiny.BASE, blocks=tiny.BASE.blocks[:1], cells=tiny.BASE.cells[:1])
    with pytest.raises(ValueError, match="is no network"):
        point(0.5, [row], AdaptationSpace(other, "full"), cost())
