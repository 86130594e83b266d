"""The pages for a browser: what they hold, and in Chromium what they do."""

import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from jaxnas.reports import Column, Picture, Section, Table, write_page
from jaxnas.reports.drawing.drawing import side_by_side
from jaxnas.reports.html.document import document, drawing
from jaxnas.reports.html.markup import markup
from jaxnas.reports.html.theta_slider import theta_slider
from support import tiny

THETA = np.log([[[[1, 1, 2.0], [1, 8, 1]]], [[[3, 1, 1], [1, 1, 4.0]]]])
POSSIBLE = np.array([[[True, True, True], [True, False, True]]])
SLIDER = theta_slider(THETA, {"normal": ["conv 0>1", "<b> 1>2"]}, POSSIBLE, raw=False)


def write(folder, *blocks):
    return write_page(folder, "<Page>", [Section("A & B", blocks)], config={"rate": 0.1})


def test_text_of_users_stays_text():
    table = Table([Column("x<y", left=True)], [["`a` <script>alert(1)</script>"]], note="**n**")
    found = table.html()
    assert "<code>a</code> &lt;script&gt;alert(1)&lt;/script&gt;" in found
    assert "x&lt;y" in found
    assert found.endswith("<p><strong>n</strong></p>")
    assert markup("a *b* 2 * 3 * 4 `*c*`\n\n- <i>\n- d\n\n```\n**x** <y>\n\nz\n```") == (
        "<p>a <em>b</em> 2 * 3 * 4 <code>*c*</code></p>\n<ul><li>&lt;i&gt;</li><li>d</li></ul>\n"
        "<pre>**x** &lt;y&gt;\n\nz</pre>"
    )
    assert "<title>&lt;b&gt;</title>" in document("<b>", "")
    assert '"normal' not in SLIDER
    assert "<span>&lt;b&gt; 1&gt;2</span>" in SLIDER


def test_drawings_on_a_page_share_no_id():
    both = side_by_side(tiny.BASE, tiny.BASE)
    left, right = (drawing(svg, name, "N") for svg, name in zip(both, ("a", "b 2"), strict=True))
    ids = [set(re.findall(r'\bid="([^"]+)"', each)) for each in (left, right)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for each, known in zip((left, right), ids, strict=True):
        assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', each)) <= {
            pair for name in known for pair in ((name, ""), ("", name))
        }
        assert not re.search(r"<style|<metadata|<!DOCTYPE|<\?xml", each)
        assert each.count("adapted: tiny") + each.count("base: tiny") == 1


def test_a_slider_shows_the_last_epoch_without_a_script():
    told = re.findall(r"<b>(.*?)</b>", SLIDER)
    assert told == ["none 60%", "same 80%"]
    assert re.findall(r'width:([\d.]+)%"', SLIDER) == ["60", "20", "20", "20", "0", "80"]
    data = json.loads(re.search(r"json\">(.*?)</script>", SLIDER)[1])
    assert data == {
        "epochs": [0, 1],
        "shares": [[250, 250, 500, 500, 0, 500], [600, 200, 200, 200, 0, 800]],
    }
    weights = np.array([[[[0.5, 1.5, 0.0], [0.0, 0.0, 0.0]]]])
    raw = theta_slider(weights, {"cell": ["a", "b"]}, POSSIBLE, raw=True)
    assert re.findall(r'width:([\d.]+)%"', raw) == ["25", "75", "0", "50", "0", "50"]
    long = theta_slider(np.zeros((1000, 1, 2, 3)), {"cell": ["a"]}, POSSIBLE, raw=False)
    data = json.loads(re.search(r"json\">(.*?)</script>", long)[1])
    assert len(data["epochs"]) == len(data["shares"]) == 150
    assert (data["epochs"][0], data["epochs"][-1], len(data["shares"][0])) == (0, 999, 3)


def test_a_page_has_a_form_for_browsers(tmp_path):
    (tmp_path / "x.svg").write_text('<?xml?><svg id="a"><use href="#a"/></svg>')
    (tmp_path / "config.json").write_text("{}")
    write(tmp_path, "Words.", Picture("Of <x>", "x.svg"), Picture("", "x.svg", SLIDER))
    page = (tmp_path / "report.html").read_text()
    assert "<h2>A &amp; B</h2>\n<p>Words.</p>" in page
    assert '<svg role="img" aria-label="Of &lt;x&gt;" id="x-a"><use href="#x-a"/></svg>' in page
    assert "<details><summary><h2>Configuration</h2></summary>\n<ul><li>rate: <code>0.1" in page
    assert page.count("<svg") == 1
    assert "default-src 'none'" in page
    assert "script-src 'sha256-" in page
    write(tmp_path, "Words.")
    page = (tmp_path / "report.html").read_text()
    assert "script-src 'none'" in page
    assert "<script" not in page


PROBE = """<script>
const slider = document.querySelector("input");
if (slider) { slider.value = 0; slider.dispatchEvent(new Event("input")); }
addEventListener("load", () => {
  const fetched = performance.getEntriesByType("resource").map((each) => each.name);
  const drawings = [...document.querySelectorAll(".drawing")];
  document.body.dataset.scrolling = drawings.filter((e) => e.scrollWidth > e.clientWidth).length;
  document.title = JSON.stringify(fetched.filter((name) => !name.startsWith("data:")));
});
</script></body>"""
"""Moves the slider to the start, and names what the page fetches in its title."""


@pytest.fixture
def browse(tmp_path):
    """Function of a page to what Chromium made of it, what its console said and what it fetched."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium: apt-get install chromium")

    def dump(text):
        (tmp_path / "page.html").write_text(text)
        done = subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"),
                *("--disable-background-networking", "--virtual-time-budget=2000"),
                (tmp_path / "page.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def browse(page):
        shown, said = dump(page)
        # The probe is a script that the page's policy would stop.
        free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        probed, _ = dump(free.replace("</body>", PROBE))
        return shown, said, probed, json.loads(re.search("<title>(.*?)</title>", probed)[1])

    return browse


@pytest.mark.slow
def test_in_a_browser_the_slider_moves_and_nothing_is_fetched(browse, tmp_path):
    for name, svg in zip(("a", "b"), side_by_side(tiny.BASE, tiny.BASE), strict=True):
        (tmp_path / f"{name}.svg").write_text(svg)
    (tmp_path / "config.json").write_text("{}")
    write(tmp_path, Picture("", "a.svg"), Picture("", "a.svg", SLIDER), Picture("", "b.svg"))
    page = (tmp_path / "report.html").read_text()
    shown, said, probed, fetched = browse(page)
    assert (said, fetched) == ([], [])
    assert '<p class="control">' in shown  # its own script ran
    assert ">after epoch 1</output>" in shown
    assert re.findall("<b>(.*?)</b>", shown) == ["none 60%", "same 80%"]
    assert ">at the start</output>" in probed
    assert re.findall("<b>(.*?)</b>", probed) == ["same 50%", "none 50%"]
    assert 'style="width: 25%;"' in probed


@pytest.mark.slow
def test_a_wide_drawing_fits_the_page(browse):
    svg = '<svg width="3000pt" height="9pt" viewBox="0 0 3000 9"><path d="M0 0L3000 9"/></svg>'
    _, _, probed, _ = browse(document("Page", drawing(svg, "a", "wide")))
    assert 'data-scrolling="0"' in probed


@pytest.mark.slow
def test_the_browser_would_tell_of_errors_and_fetches(browse):
    page = document("Page", f'{SLIDER}<img src="http://127.0.0.1:9/x.png">')
    _, said, _, fetched = browse(page)
    assert "violates" in " ".join(said)
    assert fetched == ["http://127.0.0.1:9/x.png"]
    _, said, _, _ = browse(document("Page", SLIDER.replace("output", "span")))
    assert "TypeError" in " ".join(said)
