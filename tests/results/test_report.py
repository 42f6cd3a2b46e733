"""Contract: a report opens anywhere: no network, no error, any width, by keyboard alone."""

import json
import re

import numpy as np
import pytest

from core.parameters import PARAMETERS
from sweep.backends import BackendConfig
from sweep.grid import Axis, Grid, Leaf
from sweep.launch import Job, launch
from sweep.results.report import image, page
from sweep.results.runs import find
from tests.results.browser import chromium
from tests.results.conftest import write_run

EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
AXES = {
    "memslot_gib": (1.0, 4.0),
    "alias_ratio": (0.0, 0.1, 0.5, 1.0),
    "distinct_role_ratio": (0.0, 0.5),
    "policy": ("kernel", "opportunistic"),
    "desc_capacity": (
        *range(513, 1032, 13),
        1032,
        *range(1033, 1100, 13),
    ),  # 1033 is worse than 1032
}


@pytest.fixture(scope="session")
def real_run(tmp_path_factory):
    """A run of 1,504 points by the engine, with notes that try to break out of the page."""
    folder = str(tmp_path_factory.mktemp("results"))
    root = Leaf({})
    for axis in reversed(AXES):
        root = Axis(axis, AXES[axis], root)
    grid = Grid(root, {p.name: p.default for p in PARAMETERS if p.name not in AXES})
    notes = {"experiment=x": {"": f"Question: {EVIL}"}, "workload=uniform": {"": EVIL}}
    job = Job("report", folder, BackendConfig(kind="inline"), config={"notes": notes})
    assert launch(grid, job) == 0
    return find(folder, "report")


@pytest.fixture(scope="session")
def url(real_run, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(real_run))
    return file.as_uri()


@pytest.fixture(scope="module")
def browser():
    with chromium() as tab:
        yield tab


def test_the_page_refers_to_nothing_outside_itself(real_run):
    text = page(real_run)
    assert EVIL not in text
    own = text.partition("<script>")[0] + text.rpartition("</script>")[2]
    assert set(re.findall(r"(?:src|href)=\"([^#\"][^\"]*)", own)) == set()
    assert "default-src 'none'" in own


def test_a_chart_is_a_picture_or_a_drawing_of_its_own(real_run):
    assert image(real_run, "staircase", "png").startswith(b"\x89PNG")
    assert b"<svg" in image(real_run, "heat", "svg")[:200]
    with pytest.raises(ValueError, match="choose one of staircase, heat, pareto, holds, rises"):
        image(real_run, "pie", "png")


def test_a_chart_that_a_run_has_no_axis_for_is_left_out_with_the_reason(tmp_path):
    name = write_run(tmp_path, {"alias_ratio": (0.0, 0.1)}, {"nr_lock_drops": [1, 2]})
    text = page(find(str(tmp_path), name))
    assert "Lock drops over descriptor capacity: the run has one desc_capacity." in text
    assert 'id="chart-staircase"' not in text


@pytest.mark.slow
def test_a_million_rows_are_aggregated_to_under_five_megabytes_and_the_page_says_so(tmp_path):
    axes = {
        "alias_ratio": tuple(i / 10 for i in range(10)),
        "seed": tuple(range(50)),
        "desc_capacity": tuple(range(513, 2513)),
    }
    drops = np.random.default_rng(1).integers(1, 10**6, 10**6)
    name = write_run(tmp_path, axes, {"nr_lock_drops": drops, "nr_sp_created": drops})
    text = page(find(str(tmp_path), name))
    assert len(text.encode()) < 5e6
    assert "rows of the run's 1,000,000 points (means over seed" in text


CHARTS = "[...document.querySelectorAll('.chart')]"
LINES = "[...document.querySelectorAll('#chart-staircase .mark-line path')]"
TIP = "document.querySelector('#vg-tooltip-element.visible')?.innerText"


def press(browser, name, code):
    for kind in ("rawKeyDown", "keyUp"):
        key = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        browser.call("Input.dispatchKeyEvent", type=kind, **key)


def wait(browser, expression):
    """The value of a JavaScript expression as soon as it is true."""
    look = f"const found = {expression}; found ? done(found) : setTimeout(look, 50);"
    return browser.run(f"new Promise(done => {{ const look = () => {{ {look} }}; look(); }})")


@pytest.mark.browser
class TestBrowser:
    def test_it_opens_without_an_error_or_a_request_and_draws_every_chart(self, browser, url):
        browser.requests.clear()
        browser.open(url)
        assert browser.errors == []
        assert browser.requests == [url]
        assert browser.run("window.hacked") is None
        marks = browser.run(f"{CHARTS}.map(c => c.querySelectorAll('svg path').length)")
        assert len(marks) == 5
        assert min(marks) > 10

    def test_a_mark_tells_its_numbers_when_pointed_at(self, browser, url):
        browser.open(url)
        mark = "document.querySelector('#chart-staircase .mark-symbol path')"
        browser.run(f"{mark}.scrollIntoView({{block: 'center'}})")
        x, y, size = browser.run(f"(b => [b.x, b.y, b.width])({mark}.getBoundingClientRect())")
        browser.move(x + 200, y + 100)
        browser.move(x + size / 2, y + size / 2)
        tip = wait(browser, TIP)
        assert "desc capacity [objects]" in tip
        assert "lock drops [drops]" in tip

    def test_a_filter_is_used_by_keyboard_and_redraws_its_chart(self, browser, url):
        browser.open(url)
        drawn = f"{LINES}.map(path => path.getAttribute('d')).join()"
        before = browser.run(drawn)
        select = "document.querySelector('#chart-staircase select[name=only_distinct_role_ratio]')"
        browser.run(f"{select}.focus()")
        press(browser, "ArrowDown", 40)
        assert wait(browser, f"{select}.selectedIndex") == 1
        assert wait(browser, f"{drawn} !== {json.dumps(before)}")

    def test_everything_is_reached_by_keyboard(self, browser, url):
        browser.open(url)
        name = "document.activeElement.tagName + '.' + document.activeElement.className"
        reached = set()
        for _ in range(60):
            press(browser, "Tab", 9)
            reached.add(browser.run(name).partition(" ")[0])
        assert {"A.", "DIV.chart", "DIV.scroll", "SELECT.", "SUMMARY."} <= reached

    def test_the_table_behind_a_chart_holds_its_rows(self, browser, url):
        browser.open(url)
        browser.run("document.getElementById('table-heat').open = true")
        rows = wait(browser, "document.querySelectorAll('#table-heat tbody tr').length")
        embedded = json.loads(browser.run("document.getElementById('charts').textContent"))
        assert rows == len(next(c for c in embedded if c["name"] == "heat")["data"]["rows"])
        assert browser.run("document.querySelector('#table-heat th small').textContent") == "ratio"

    @pytest.mark.parametrize("dark", [False, True])
    def test_a_phone_needs_no_sideways_scrolling_light_or_dark(self, browser, url, dark):
        browser.open(url, width=390, dark=dark)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        assert browser.run("document.body.dataset.drawn") == ("dark" if dark else "light")
        ground = browser.run("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)")
        right = "chart.querySelector('svg').getBoundingClientRect().right"
        assert max(browser.run(f"{CHARTS}.map(chart => {right})")) <= 390
        assert browser.errors == []
