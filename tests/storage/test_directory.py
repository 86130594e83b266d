import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from jaxnas.storage import RunDirectory, RunError
from jaxnas.storage.directory import DATA, refuse_while_used
from jaxnas.storage.environment import environment

pytestmark = pytest.mark.oldest

CONFIG = {"seed": 3, "lr": 0.1, "optimizer": {"name": "sgd", "betas": (0.9, 0.99)}}

HOLDER = """
import sys, time
from jaxnas.storage.directory import RunDirectory
with RunDirectory(sys.argv[1], {"seed": 0}, resume=True) as run:
    print("held", flush=True)
    time.sleep(60)
"""


def rows(count):
    return [{"epoch": e, "loss": 1 / e, **({"accuracy": 10.0 * e} if e > 2 else {})} for e in count]


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a named pipe"), (os.mkdir, "a folder")])
def test_a_lock_that_is_no_file_is_told(tmp_path, make, kind):
    make(tmp_path / ".lock")
    told = f"{tmp_path / '.lock'} cannot be a run's lock (it is {kind}, not a file); remove it"
    for act in (
        RunDirectory(tmp_path, CONFIG).check,
        RunDirectory(tmp_path, CONFIG).__enter__,
        lambda: refuse_while_used(tmp_path),
    ):
        with pytest.raises(RunError, match=f"^{re.escape(told)}$"):
            act()


def test_a_link_to_nothing_is_no_run(tmp_path):
    (tmp_path / "link").symlink_to("gone")
    for path in (tmp_path / "link", tmp_path / "link" / "run"):
        directory = RunDirectory(path, CONFIG)
        for act in (directory.check, directory.__enter__):
            with pytest.raises(RunError, match="link is a link to gone, where there is nothing"):
                act()


def test_config_and_environment_are_written(tmp_path):
    with RunDirectory(tmp_path / "a" / "run", CONFIG) as run:
        config = run.read_json("config.json")
        assert not run.resumed
    recorded = config.pop("environment")
    assert config == {**CONFIG, "optimizer": {"name": "sgd", "betas": [0.9, 0.99]}}
    assert recorded["versions"]["numpy"] == np.__version__
    assert recorded["versions"]["python"] == sys.version.split()[0]
    assert recorded["device"]["count"] >= 1
    assert recorded["cpu_count"] == os.cpu_count()
    assert "/" not in recorded["command"].split()[0]


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["experiments/a.py", "--x", "1"], "python experiments/a.py --x 1"),
        (["{here}/experiments/a.py", "two words"], "python experiments/a.py 'two words'"),
        (["{here}/../elsewhere/a.py"], "python a.py"),
        (["/lib/jaxnas/__main__.py", "adapt"], "python -m jaxnas adapt"),
        (["/venv/bin/jaxnas", "adapt"], "jaxnas adapt"),
    ],
)
def test_a_command_can_be_typed_again_and_names_no_folder_outside(
    tmp_path, monkeypatch, words, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [word.format(here=tmp_path) for word in words])
    assert environment()["command"] == command


def test_a_check_tells_what_entering_would_and_makes_nothing(tmp_path):
    folder = tmp_path / "run"
    RunDirectory(folder, CONFIG).check()
    assert not folder.exists()
    with RunDirectory(folder, CONFIG):
        with pytest.raises(RunError, match="is in use by another run"):
            RunDirectory(folder, CONFIG, resume=True).check()
    before = content(folder)
    for config, options, message in (
        (CONFIG, {}, "holds an earlier run"),
        (CONFIG | {"lr": 0.2}, {"resume": True}, "lr was 0.1 and is 0.2"),
    ):
        with pytest.raises(RunError, match=message):
            RunDirectory(folder, config, **options).check()
    RunDirectory(folder, CONFIG, resume=True).check()
    RunDirectory(folder, CONFIG | {"lr": 0.2}, overwrite=True).check()
    assert content(folder) == before


def test_a_held_folder_is_refused_and_free_after_a_kill(tmp_path):
    folder = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        for options in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(RunError, match=rf"run is in use .*\(process {holder.pid}\); wait"):
                with RunDirectory(folder, {"seed": 0}, **options):
                    pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with RunDirectory(folder, {"seed": 0}, resume=True) as run:
        assert run.resumed
        with pytest.raises(RunError, match=rf"process {os.getpid()}"):
            with RunDirectory(folder, {"seed": 0}, resume=True):
                pass


def test_an_earlier_run_is_refused_unless_told(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        run.write_text("note.txt", "kept")
    before = content(tmp_path)
    with pytest.raises(
        RunError, match=r"holds an earlier run; use --resume .* --overwrite .* --run"
    ):
        with RunDirectory(tmp_path, CONFIG):
            pass
    assert content(tmp_path) == before
    with RunDirectory(tmp_path, CONFIG, resume=True) as run:
        assert run.resumed
    assert content(tmp_path) == before


def test_overwrite_deletes_the_earlier_run_but_not_what_it_links_to(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("kept")
    folder = tmp_path / "run"
    with RunDirectory(folder, CONFIG) as run:
        run.log({"epoch": 1, "loss": 1.0})
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "old").write_text("old")
    (folder / "link").symlink_to(outside)
    with RunDirectory(folder, {"seed": 4}, overwrite=True) as run:
        assert not run.resumed
        assert run.rows() == []
        assert run.read_json("config.json")["seed"] == 4
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "config.json"]
    assert (outside / "precious.txt").read_text() == "kept"


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize("name", ["thesis.tex", "config.json"])
def test_a_folder_that_is_no_run_is_left_alone(tmp_path, options, name):
    (tmp_path / name).write_text('{"theme": "dark"}')
    with pytest.raises(RunError, match=r"not the folder of a run|holds an earlier run"):
        with RunDirectory(tmp_path, CONFIG, **options):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"theme": "dark"}'


def test_resume_without_an_earlier_run_starts_afresh(tmp_path):
    with RunDirectory(tmp_path, CONFIG, resume=True) as run:
        assert not run.resumed
        assert run.read_json("config.json")["seed"] == 3


def test_resume_names_every_field_that_differs(tmp_path):
    with RunDirectory(tmp_path, CONFIG):
        pass
    other = {"seed": 3, "lr": 0.2, "optimizer": {"name": "adam", "betas": (0.9, 0.99)}, "new": True}
    with pytest.raises(RunError) as caught:
        with RunDirectory(tmp_path, other, resume=True):
            pass
    for part in (
        "lr was 0.1 and is 0.2",
        'optimizer.name was "sgd" and is "adam"',
        "new was absent and is true",
    ):
        assert part in str(caught.value)
    assert "seed" not in str(caught.value)
    assert "betas" not in str(caught.value)


def test_resume_tells_other_data_before_what_follows_from_it(tmp_path):
    begun = CONFIG | {"data": {"dataset": "a"}, DATA: "1", "resolved": {"rate": 0.1}}
    with RunDirectory(tmp_path, begun):
        pass
    for change, reason in (
        ({}, "its images, labels or class names were others; resume"),
        ({"data": {"dataset": "b"}}, 'data.dataset was "a" and is "b"; resume'),
    ):
        other = begun | {DATA: "2", "resolved": {"rate": 0.2}} | change
        with pytest.raises(RunError, match=f"began with another data set: {reason}") as caught:
            RunDirectory(tmp_path, other, resume=True).check()
        assert "rate" not in str(caught.value)


def test_a_run_that_recorded_no_data_is_not_resumed_with_some(tmp_path):
    with RunDirectory(tmp_path, CONFIG):
        pass
    with pytest.raises(RunError, match=f"of a version that did not record {DATA}"):
        RunDirectory(tmp_path, CONFIG | {DATA: "1"}, resume=True).check()


def test_resume_does_not_compare_the_environment(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        config = run.read_json("config.json")
        config["environment"]["versions"]["numpy"] = "1.0"
        run.write_json("config.json", config)
    with RunDirectory(tmp_path, CONFIG, resume=True) as run:
        assert run.read_json("config.json")["environment"]["versions"]["numpy"] == "1.0"


def test_a_damaged_config_is_named_and_may_be_overwritten(tmp_path):
    with RunDirectory(tmp_path, CONFIG):
        pass
    (tmp_path / "config.json").write_text('{"seed": 3, "l')
    with pytest.raises(RunError, match=r"config\.json is damaged .* use --overwrite"):
        with RunDirectory(tmp_path, CONFIG, resume=True):
            pass
    with RunDirectory(tmp_path, CONFIG, overwrite=True) as run:
        assert run.read_json("config.json")["seed"] == 3


def test_a_folder_whose_name_is_no_utf8_is_refused_at_the_start(tmp_path, monkeypatch):
    strange = tmp_path / os.fsdecode(b"caf\xe9")
    strange.mkdir()
    (tmp_path / "link").symlink_to(strange)
    monkeypatch.chdir(strange)
    for path in (strange, strange / "run", tmp_path / "link" / "run", "run"):
        with pytest.raises(RunError, match=r"caf\\udce9.* is no UTF-8, and checkpoints"):
            RunDirectory(path, CONFIG)
    assert list(strange.iterdir()) == []


def test_text_that_is_no_utf8_is_written_escaped(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        run.write_text("report.md", "é of caf\udce9\n")
    assert (tmp_path / "report.md").read_text() == "é of caf\\udce9\n"


def test_senseless_arguments_are_refused(tmp_path):
    with pytest.raises(RunError, match="exclude each other"):
        RunDirectory(tmp_path, CONFIG, resume=True, overwrite=True)
    with pytest.raises(RunError, match="must not hold 'environment'"):
        RunDirectory(tmp_path, {"environment": {}})
    with pytest.raises(RunError, match=r"config.json: optimizer.lr = nan has no JSON form"):
        RunDirectory(tmp_path, {"optimizer": {"lr": float("nan")}})
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is a file; use another --run-dir"):
        with RunDirectory(tmp_path / "file", CONFIG):
            pass


def test_json_and_text_are_written_whole_or_not_at_all(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        run.write_json("a.json", {"x": [1, None, 0.1]})
        for bad in (float("inf"), np.float32("nan"), object()):
            with pytest.raises(RunError, match=r"a.json: x\[1\] = .* has no JSON form"):
                run.write_json("a.json", {"x": [1, bad]})
        assert run.read_json("a.json") == {"x": [1, None, 0.1]}
        with pytest.raises(RunError, match=r"there is no .*b\.json"):
            run.read_json("b.json")
    assert not list(tmp_path.glob("*.tmp"))


def test_a_file_left_half_written_by_a_kill_is_no_obstacle(tmp_path):
    with RunDirectory(tmp_path, CONFIG):
        pass
    (tmp_path / ".results.json.tmp").write_text("[{")
    with RunDirectory(tmp_path, CONFIG, resume=True):
        pass
    assert not (tmp_path / ".results.json.tmp").exists()


def test_metrics_are_written_to_both_files(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        run.log({"epoch": 1, "loss": np.float32(0.5), "phase": "adaptation, warm"})
        run.log({"epoch": 2, "accuracy": 91.5, "theta": [1, 2]})
        run.log({"epoch": 3, "loss": None})
        assert run.rows() == [
            {"epoch": 1, "loss": 0.5, "phase": "adaptation, warm"},
            {"epoch": 2, "accuracy": 91.5, "theta": [1, 2]},
            {"epoch": 3, "loss": None},
        ]
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "epoch,loss,phase,accuracy,theta",
        '1,0.5,"adaptation, warm",,',
        '2,,,91.5,"[1, 2]"',
        "3,,,,",
    ]


@pytest.mark.parametrize("row", [{"loss": 1.0}, {"epoch": 1.0}, {"epoch": True}])
def test_a_row_needs_an_epoch(tmp_path, row):
    with RunDirectory(tmp_path, CONFIG) as run:
        with pytest.raises(RunError, match="needs an int 'epoch'"):
            run.log(row)


def test_a_loss_that_is_not_finite_is_refused_and_named(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        with pytest.raises(RunError, match=r"metrics.jsonl: loss = nan has no JSON form"):
            run.log({"epoch": 1, "loss": float("nan")})
        assert run.rows() == []


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 6])
def test_truncated_and_logged_again_the_files_are_those_of_an_uninterrupted_run(tmp_path, kept):
    with RunDirectory(tmp_path / "whole", CONFIG) as run:
        for row in rows(range(1, 7)):
            run.log(row)
    with RunDirectory(tmp_path / "cut", CONFIG) as run:
        for row in rows(range(1, 7)):
            run.log(row)
    with RunDirectory(tmp_path / "cut", CONFIG, resume=True) as run:
        run.truncate(kept)
        assert run.rows() == rows(range(1, kept + 1))
        for row in rows(range(kept + 1, 7)):
            run.log(row)
    whole, cut = content(tmp_path / "whole"), content(tmp_path / "cut")
    assert set(map(str, whole)) == {"config.json", "metrics.csv", "metrics.jsonl"}
    assert whole == cut


def test_a_torn_last_line_and_a_missing_csv_row_are_mended(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        for row in rows(range(1, 5)):
            run.log(row)
    whole = content(tmp_path)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 5, "lo')
    lines = (tmp_path / "metrics.csv").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.csv").write_text("".join(lines[:-1]))
    with RunDirectory(tmp_path, CONFIG, resume=True) as run:
        assert run.rows() == rows(range(1, 5))
    assert content(tmp_path) == whole


def test_a_line_damaged_in_the_middle_is_named(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as run:
        for row in rows(range(1, 4)):
            run.log(row)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    lines[1] = lines[1][:-4]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2, is damaged"):
        with RunDirectory(tmp_path, CONFIG, resume=True):
            pass
    assert len(json.loads(lines[0])) == 2
