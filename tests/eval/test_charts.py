"""Charts: ticks, what is drawn where, and what happens without data."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval import charts

finite = st.floats(-1e9, 1e9)


@given(finite, finite)
def test_ticks_span_their_range_in_even_steps(a, b):
    made = charts.ticks(a, b)
    low, high = min(a, b), max(a, b)
    step = made[1] - made[0]
    assert 2 <= len(made) <= 7
    assert made[0] <= low + 1e-6 * step and made[-1] >= high - 1e-6 * step
    assert all(math.isclose(y - x, step, rel_tol=1e-6, abs_tol=1e-6 * abs(made[-1])) for x, y in pairwise(made))


@pytest.mark.parametrize(
    ("low", "high", "made"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1.18, 2.38, [1, 1.25, 1.5, 1.75, 2, 2.25, 2.5]),
    ],
)
def test_ticks_are_round(low, high, made):
    assert charts.ticks(low, high) == pytest.approx(made)


def test_ticks_of_one_point_and_of_no_number():
    assert len(charts.ticks(0, 0)) >= 2 and len(charts.ticks(7, 7)) >= 2
    with pytest.raises(ValueError):
        charts.ticks(0, float("nan"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (2750, "2750"),
        (25000, "25k"),
        (1.5e6, "1.5M"),
        (1e-5, "1e-5"),
        (-10, "-10"),
        (3e9, "3G"),
    ],
)
def test_numbers_are_short(value, said):
    assert charts.number(value) == said


def drawn(svg):
    root = ElementTree.fromstring(svg)  # well-formed
    assert root.attrib["role"] == "img" and root.attrib["aria-label"]
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for part in root.iter():
        for name, most in (("x", width), ("cx", width), ("x1", width), ("x2", width), ("y", height), ("cy", height)):
            if name in part.attrib:
                assert -0.1 <= float(part.attrib[name]) <= most + 0.1
    return root


def of_class(root, name):
    return [part for part in root.iter() if name in part.attrib.get("class", "").split()]


def test_bars_are_as_high_as_their_share():
    root = drawn(charts.histogram({"edges": [0, 1, 2, 3], "counts": [1, 0, 3]}, title="t", x_label="x"))
    bars = of_class(root, "bar")
    assert len(bars) == 2  # nothing is drawn where nothing was counted
    assert float(bars[1].attrib["height"]) == pytest.approx(3 * float(bars[0].attrib["height"]), abs=0.2)


def test_bars_of_shared_axes_can_be_compared():
    one = drawn(charts.histogram({"edges": [0, 1], "counts": [5]}, title="t", x_label="x", across=(0, 4), up=1.0))
    wide = drawn(charts.histogram({"edges": [0, 1], "counts": [5]}, title="t", x_label="x", across=(0, 2), up=1.0))
    a, b = (float(of_class(root, "bar")[0].attrib["width"]) + 1 for root in (one, wide))
    assert b == pytest.approx(2 * a, abs=0.3)


def test_a_line_has_a_mark_per_number_and_a_band_only_where_there_is_an_interval():
    curve = {"name": "a", "x": [3, 1, 2], "y": [5, 6, None]}
    root = drawn(charts.lines([curve], title="t", x_label="x", y_label="y"))
    assert len(of_class(root, "dot")) == 2 and not of_class(root, "band")
    xs = [float(pair.split(",")[0]) for pair in of_class(root, "line")[0].attrib["points"].split()]
    assert xs == sorted(xs)
    banded = curve | {"low": [4, 5, None], "high": [6, 7, None]}
    assert len(of_class(drawn(charts.lines([banded], title="t", x_label="x", y_label="y")), "band")) == 1


def test_where_anothers_curve_ends_is_marked_at_the_right_edge_and_inside_the_axis():
    curve = {"name": "a <b>", "x": [1, 2], "y": [5, 6], "series": 3, "end": 9.5}
    plain = drawn(charts.lines([curve | {"end": None}], title="t", x_label="x", y_label="y"))
    assert not of_class(plain, "end")
    root = drawn(charts.lines([curve, {"x": [1], "y": [None], "end": 3}], title="t", x_label="x", y_label="y"))
    (mark,) = of_class(root, "end")  # a curve without a point has no place for it
    assert "series-3" in mark.attrib["class"] and "9.5" in mark[0].text
    x, y = map(float, re.match(r"M([\d.]+) ([\d.]+)", mark.attrib["d"]).groups())
    assert x == charts.WIDTH - charts.RIGHT
    assert charts.TOP - 6 < y < min(float(dot.attrib["d"].split()[1]) for dot in of_class(root, "dot"))


def test_dots_show_mean_interval_and_the_other():
    rows = [{"name": "a" * 60, "mean": 5, "low": 4, "high": 6, "other": 7}, {"name": "b", "mean": None}]
    root = drawn(charts.dots(rows, title="t", x_label="x", across=(0, 10)))
    assert len(of_class(root, "dot")) == 1 and len(of_class(root, "whisker")) == 1 and len(of_class(root, "other")) == 1
    (label,) = [part for part in of_class(root, "label") if part.text and part.text.startswith("a")]
    assert label.text.endswith("…") and label[0].text == "a" * 60


@pytest.mark.parametrize(
    "made",
    [
        lambda: charts.histogram({"edges": [], "counts": []}, title="none", x_label="x"),
        lambda: charts.histogram({"edges": [0, 1], "counts": [0]}, title="none", x_label="x"),
        lambda: charts.lines([], title="none", x_label="x", y_label="y"),
        lambda: charts.lines([{"x": [1], "y": [float("nan")]}], title="none", x_label="x", y_label="y"),
        lambda: charts.dots([], title="none", x_label="x"),
        lambda: charts.dots([{"name": "a", "mean": float("nan")}], title="none", x_label="x"),
    ],
)
def test_without_data_there_is_a_word_instead_of_a_chart(made):
    assert "<svg" not in made() and "none: nothing to draw" in made()


def test_names_and_titles_are_escaped():
    bad = '<script>"&'
    curve = {"name": bad, "x": [1, 2], "y": [1, 2]}
    for svg in (
        charts.dots([{"name": bad, "mean": 1}], title=bad, x_label=bad),
        charts.lines([curve], title=bad, x_label=bad, y_label=bad),
        charts.histogram({"edges": [0, 1], "counts": [1]}, title=bad, x_label=bad),
        charts.lines([], title=bad, x_label=bad, y_label=bad),
    ):
        assert "<script" not in svg
        ElementTree.fromstring(svg)


def test_one_style_per_series_up_to_eight():
    styles = {re.search(r"series-\d", charts.key(series)).group() for series in range(charts.SERIES)}
    assert len(styles) == charts.SERIES
