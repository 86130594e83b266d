import pytest

from jaxnas.reports import Column, Picture, Section, Table, write_page
from jaxnas.storage import RunDirectory, RunError


def test_a_page_tells_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["run.py", "--seeds", "5"])
    table = Table([Column("seed")], [[0]], note="One seed.")
    sections = [
        Section("Results", ["Some words.", table]),
        Section.of_picture("Learning curves", "curves.svg", "A line for each."),
        Section("Nothing", []),
        Section("Notes", ["The data are those of the wheel."]),
    ]
    with RunDirectory(tmp_path, {"lr": 0.1, "optimizer": {"momentum": 0.9}}):
        (tmp_path / "curves.svg").write_text("<svg/>")
        assert write_page(tmp_path, "Adapting ResNet-20", sections) == tmp_path / "report.md"
        text = (tmp_path / "report.md").read_text()
        assert text.startswith("# Adapting ResNet-20\n\n```\npython run.py --seeds 5\n```\n")
        assert "## Results\n\nSome words.\n\n| seed |\n| ---: |\n| 0 |\n\nOne seed.\n" in text
        assert "## Learning curves\n\n![Learning curves](curves.svg)\n\nA line for each." in text
        assert "Nothing" not in text
        assert "## Notes\n\nThe data are those of the wheel.\n" in text
        assert "- optimizer.momentum: `0.9`" in text
        assert "- versions.jax: `" in text
        with pytest.raises(RunError, match=r"there is no picture .*theta\.svg"):
            write_page(tmp_path, "", [Section("", [Picture("θ", "theta.svg")])])
        assert (tmp_path / "report.md").read_text() == text


def test_a_page_of_no_run_says_what_it_is_told(tmp_path):
    page = write_page(tmp_path, "Title", [Section("A", ["B"])], file="page.md", config={})
    assert page.read_text() == "# Title\n\n## A\n\nB\n"
    with pytest.raises(RunError, match=r"there is no .*config\.json"):
        write_page(tmp_path, "Title", [])


def test_a_page_tells_which_images_were_read(tmp_path):
    (tmp_path / "data.txt").write_text("signs: 9 training images.\n1 file left out.\n")
    page = write_page(tmp_path, "x", [], config={}).read_text()
    assert "## Data\n\n```\nsigns: 9 training images.\n1 file left out.\n```" in page
