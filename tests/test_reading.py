"""What users give is read in one way: files that end, JSON that says one thing, plain numbers."""

import json
import os
import socket
from pathlib import Path

import pytest

from jaxnas import reading

pytestmark = pytest.mark.oldest


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "linked").symlink_to("file")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path, kind in (
            (tmp_path / "pipe", "a named pipe"),
            (tmp_path / "link", "a named pipe"),
            (tmp_path / "folder", "a folder"),
            (tmp_path / "socket", "a socket"),
            (Path(os.devnull), "a device"),
        ):
            with pytest.raises(OSError, match=f"^it is {kind}, not a file$"):
                reading.read_text(path)
    with pytest.raises(FileNotFoundError):
        reading.read_text(tmp_path / "nowhere")
    assert reading.read_text(tmp_path / "linked") == "text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "an object has 'c' twice"),
        ('[1, {"": 0, "": 0}]', "an object has '' twice"),
        ("[NaN]", "NaN is no finite number"),
        ('{"a": -Infinity}', "-Infinity is no finite number"),
        ("1e999", "1e999 is no finite number"),
        ("[" * 101 + "]" * 101, "it is nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000 + "0" + "}" * 100_000, "it is nested too deeply"),
        ("9" * 5000, "limit"),
        ("1_0", "Extra data"),
    ],
)
def test_json_that_says_no_one_thing_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        reading.from_json(text)


def test_other_json_is_read_as_python_reads_it():
    for text in ("[" * 99 + "0" + "]" * 99, '{"a": [1, 1.5, -2e-3, true, null, "NaN"], "b": {}}'):
        assert reading.from_json(text) == json.loads(text)


def test_a_number_has_neither_underscores_nor_other_digits():
    assert [reading.number("-1.5e3"), reading.number("50", int)] == [-1500.0, 50]
    for text in ("5_0", "1_0.5", "٥٠"):
        for kind in (int, float):
            with pytest.raises(ValueError, match=f"^'{text}' is no (whole )?number$"):
                reading.number(text, kind)


def test_a_link_to_nothing_is_told_wherever_it_is_on_the_way(tmp_path):
    (tmp_path / "link").symlink_to("gone")
    told = f"{tmp_path / 'link'} is a link to gone, where there is nothing"
    assert reading.link_to_nothing(tmp_path / "link") == told
    assert reading.link_to_nothing(tmp_path / "link" / "a" / "b") == told
    assert reading.link_to_nothing(tmp_path / "a") is None
    assert reading.link_to_nothing(tmp_path) is None
