"""The command line: what each command prints and writes, and one sentence for what is wrong."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from jaxnas import nn
from jaxnas.cli import main
from jaxnas.cli.output import write
from jaxnas.runs.config import Experiment
from jaxnas.runs.flags.data import DataFlags
from jaxnas.spaces import Genotype, Nas2017Space, zoo
from jaxnas.spaces.genotype import NULL
from jaxnas.spaces.zoo.darts_text import write_cells
from jaxnas.storage.files import WriteError
from support import tiny

pytestmark = pytest.mark.oldest

DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2], "
    "reduce=[('max_pool_3x3', 0), ('none', 1)], reduce_concat=[2])"
)


def test_zoo_lists_every_network(run):
    lines = [line.replace("│", "").split() for line in run("zoo").splitlines()]
    rows = [line for line in lines if line and line[0] in zoo.ZOO]
    assert [row[0] for row in rows] == list(zoo.ZOO)
    assert ["darts_v2", "darts", "2", "20"] in rows


def test_zoo_as_json(run):
    rows = json.loads(run("zoo", "--json"))
    assert [row["name"] for row in rows] == list(zoo.ZOO)
    for row in rows:
        genotype = zoo.named(row["name"])
        assert row == {
            "name": genotype.name,
            "family": genotype.family,
            "kinds": len(genotype.cells),
            "blocks": len(genotype.blocks),
        }


def test_zoo_counts_what_count_counts(run, monkeypatch):
    monkeypatch.setattr(zoo, "ZOO", {"resnet20": zoo.ZOO["resnet20"]})
    (row,) = json.loads(run("zoo", "--counts", "--json"))
    assert row.items() >= json.loads(run("count", "resnet20", "--json")).items()
    assert f"{row['params']:,}" in run("zoo", "--counts")


@pytest.mark.parametrize("name", zoo.ZOO)
def test_every_network_is_shown_as_a_tree(run, name):
    text = run("show", name)
    genotype = zoo.named(name)
    assert text.startswith(f"{name} ({genotype.family} family)")
    assert f"{len(genotype.blocks)} blocks" in text
    for cell in genotype.cells:
        assert f"cell {cell.name}\n" in text
        part = text.split(f"cell {cell.name}\n")[1].split("cell ")[0]
        for edge in cell.edges:
            assert f"{edge.op}({edge.source})" in part
    assert ("auxiliary head" in text) == (genotype.auxiliary >= 0)


def test_a_tree_says_how_wide_a_node_is(run):
    text = run("show", "resnet50")
    assert text.count("(1/4 of the block's channels, then relu)") == 5
    assert text.count("(1 × the input's channels, then relu)") == 1


def test_a_network_is_drawn_into_a_folder_or_one_file(run, tmp_path):
    text = run("show", "resnet20", "--out", tmp_path / "new")
    names = ["resnet20.dot", "resnet20.png", "resnet20.svg"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert all(f"Wrote {tmp_path / 'new' / name}\n" in text for name in names)
    assert (tmp_path / "new" / names[0]).read_text().startswith('digraph "resnet20" {')
    assert (tmp_path / "new" / names[1]).read_bytes().startswith(b"\x89PNG")
    run("show", "resnet20", "--out", tmp_path / "one.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "new" / names[2]).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "one.svg"]


def test_files_are_shown_by_what_they_hold(run, tmp_path):
    path = tmp_path / "cells.txt"
    path.write_text(DARTS)
    text = run("show", path)
    assert text.startswith("cells (darts family)\n")
    assert "2 = sep_conv_3x3(0) + skip_connect(1)" in text
    assert f"2 = max_pool_3x3(0) + {NULL}(1)" in text
    tiny.write(tmp_path)
    assert run("show", tmp_path / "base.json").startswith("tiny (residual family)\n")


def counted(genotype, classes, shape):
    """What `count` must print."""
    cost = nn.cost(nn.build(genotype, classes, auxiliary=genotype.auxiliary >= 0), shape)
    stem = "cifar" if genotype.stem_form == "small" else "imagenet"
    return {
        "name": genotype.name,
        "stem": stem,
        "params": cost.params,
        "aux_params": cost.aux_params,
    } | {
        "macs": cost.macs,
        "batch_stats": cost.batch_stats,
        "classes": classes,
        "image_size": shape[0],
    }


def test_count_is_the_cost_of_the_network(run, tmp_path):
    tiny.write(tmp_path)
    found = json.loads(run("count", tmp_path / "base.json", "--json"))
    assert found == counted(tiny.BASE, 10, (32, 32, 3))
    assert found["aux_params"] == 0
    words = ["--channels", "4", "--cells", "3", "--classes", "7", "--image-size", "16"]
    found = json.loads(run("count", "p_darts", *words, "--json"))
    genotype = zoo.named("p_darts", channels=4, cells=3)
    assert found == counted(genotype, 7, (16, 16, 3))
    assert found["aux_params"] > 0
    table = run("count", "p_darts", *words)
    assert all(f"{found[name]:,}" in table for name in ("params", "aux_params", "macs"))


def test_cells_of_a_text_get_the_stem_of_large_images_and_it_is_said(run, refused, tmp_path):
    path = tmp_path / "found.txt"
    path.write_text(write_cells(*zoo.named("darts_v2").cells))
    size = ["--channels", 4, "--cells", 3]
    for words, stem in (
        (["--image-size", 64], "imagenet"),
        (["--image-size", 63], "cifar"),
        ([], "cifar"),
        (["--image-size", 64, "--stem", "cifar"], "cifar"),
        (["--image-size", 32, "--stem", "imagenet"], "imagenet"),
    ):
        assert json.loads(run("count", path, *size, *words, "--json"))["stem"] == stem, words
    assert "--stem imagenet" in run("count", "darts_v2", *size, "--image-size", 64)
    run("convert", path, tmp_path / "found.json", *size, "--stem", "imagenet")
    whole = Genotype.from_json((tmp_path / "found.json").read_text())
    published = zoo.named("darts_v2_imagenet", channels=4, cells=3)
    assert dataclasses.replace(whole, name=published.name) == published
    assert whole.name == "found-imagenet"
    assert "--stem imagenet is for networks of DARTS's cells" in refused(
        "count", "resnet20", "--stem", "imagenet"
    )


def test_a_name_of_two_forms_is_the_one_for_the_images(run):
    for words, form, side in (
        ([], "cifar", 32),
        (["--image-size", 160], "imagenet", 160),
        (["--image-size", 63], "cifar", 63),
        (["--image-size", 160, "--stem", "cifar"], "cifar", 160),
        (["--stem", "imagenet"], "imagenet", 224),
    ):
        found = json.loads(run("count", "resnet18", *words, "--classes", 1000, "--json"))
        params = {"cifar": 11_173_962 + 990 * 513, "imagenet": 11_689_512}
        assert (found["stem"], found["params"]) == (form, params[form]), words
        assert found["image_size"] == side


@pytest.mark.slow
def test_dartss_cells_at_imagenets_size_cost_what_the_paper_says(run, tmp_path):
    path = tmp_path / "found.txt"
    path.write_text(write_cells(*zoo.named("darts_v2").cells))
    size = ["--channels", 48, "--cells", 14, "--classes", 1000, "--image-size", 224]
    found = json.loads(run("count", path, *size, "--json"))
    assert (found["params"], found["macs"]) == (4_718_752, 529_911_552)


@pytest.mark.parametrize("form", ["pairs", "triples"])
def test_a_text_becomes_json_and_itself_again(run, tmp_path, form):
    """DARTS's pairs know ``none`` and no ``null``, NAT's triples the other way round."""
    nothing = {"pairs": "none", "triples": "null"}[form]
    cells = (
        dataclasses.replace(
            cell, edges=(dataclasses.replace(cell.edges[0], op=NULL), *cell.edges[1:])
        )
        for cell in zoo.named("darts_v2").cells
    )
    text = write_cells(*cells, form) + "\n"
    assert f"'{nothing}'" in text
    (tmp_path / "a.txt").write_text(text)
    run("convert", tmp_path / "a.txt", tmp_path / "b.json")
    run("convert", tmp_path / "b.json", tmp_path / "c.txt", "--form", form)
    assert (tmp_path / "c.txt").read_text() == text


def test_cells_of_a_text_make_a_network_of_the_size_that_is_said(run, tmp_path):
    path = tmp_path / "cells.txt"
    path.write_text(DARTS)
    run("convert", path, tmp_path / "cells.json", "--channels", 4, "--cells", 3)
    genotype = Genotype.from_json((tmp_path / "cells.json").read_text())
    assert (genotype.blocks[0].channels, len(genotype.blocks)) == (4, 3)
    run("convert", path, tmp_path / "usual.json")
    genotype = Genotype.from_json((tmp_path / "usual.json").read_text())
    assert (genotype.name, genotype.blocks[0].channels, len(genotype.blocks)) == ("cells", 36, 20)


@pytest.mark.parametrize("name", ["darts_v2", "enas_cells", "nat_vgg_cells"])
def test_cells_survive_the_way_to_text_and_back(run, tmp_path, name):
    text = run("convert", name, tmp_path / f"{name}.txt")
    assert "say --cells 20 --channels 36 --stem cifar where it is read" in text
    run("convert", tmp_path / f"{name}.txt", tmp_path / "back.json")
    assert Genotype.from_json((tmp_path / "back.json").read_text()) == zoo.named(name)


def test_a_file_is_not_converted_onto_itself(refused, tmp_path):
    path = tmp_path / "cells.txt"
    path.write_text(DARTS)
    (tmp_path / "same.txt").hardlink_to(path)
    for other in (path, tmp_path / "same.txt"):
        assert "would be written over itself" in refused("convert", path, other)
    assert path.read_text() == DARTS


def test_a_tree_says_what_the_blocks_of_a_macro_network_take(run):
    text = run("show", "enas_macro", "--channels", 4, "--cells", 6)
    assert "block 5: conv_3x3_1_skips, 8 channels, of 4, 2" in text
    assert "block 2: reduce, 8 channels, stride 2, of stem" in text


def test_a_tree_says_what_layers_and_the_classifier_read(run, tmp_path):
    space = Nas2017Space(layers=3, strides=(1, 2, 3))
    network = space.decode(np.array([0, 0, 0, 0, 0, 3, 1, 2, 0, 1, 1, 0, 0, 1, 2, 1, 0, 2]))
    (tmp_path / "found.json").write_text(network.to_json())
    text = run("show", tmp_path / "found.json")
    assert "block 0: conv_1x1, 24 channels, of image" in text
    assert "block 1: conv_7x3, 36 channels, stride 3x1, of 0" in text
    assert "block 2: conv_1x1, 48 channels, stride 2x3, of 0" in text
    assert "classifier: of 1, 2" in text
    assert "stem" not in text


def test_adapt_runs_the_experiment_of_its_flags(run, monkeypatch):
    found = []
    stub = types.ModuleType("jaxnas.commands.experiment")
    stub.run_experiment = lambda *arguments: found.append(arguments)
    monkeypatch.setitem(sys.modules, "jaxnas.commands.experiment", stub)
    run("adapt", *tiny.command(Path("in"), seeds=(0, 3)))
    ((experiment, name),) = found
    wanted = Experiment(
        data=DataFlags("in/tiny.npz"),
        base="in/base.json",
        seeds=(0, 3),
        **tiny.settings(),
    )
    assert experiment.recorded() == wanted.recorded()
    assert name == "adapt"


def test_a_name_nearly_known_is_suggested(refused):
    text = refused("show", "resnet21")
    assert "neither a network of the zoo nor a .json or .txt file; did you mean resnet20," in text
    assert "see `jaxnas zoo`" in refused("count", "qqqq")


@pytest.mark.parametrize("command", ["show", "count"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.json", None, "cannot be read"),
        ("missing.txt", None, "cannot be read"),
        ("latin.json", b"\xff\xfe", "cannot be read"),
        ("latin.txt", b"\xff\xfe", "cannot be read"),
        ("broken.json", b"{", "is not JSON"),
        ("empty.json", b"{}", "field 'name' is missing"),
        ("empty.txt", b"", "must be one Genotype("),
        ("code.txt", b"__import__('os').system('true')", "must be one Genotype("),
        ("half.txt", b"Genotype(normal=[", "cannot be parsed"),
        ("op.txt", DARTS.replace("max_pool", "magic").encode(), "unknown operation 'magic_3x3'"),
        ("a$.txt", DARTS.encode(), "'a$' is no name"),
        ("other.bin", b"", "neither a network of the zoo nor a .json or .txt file"),
    ],
)
def test_a_file_that_holds_no_network_is_told(refused, tmp_path, command, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    text = refused(command, path)
    assert message in text
    assert str(path) in text


def test_sizes_that_cannot_be_are_told(refused, tmp_path):
    tiny.write(tmp_path)
    leave = "leave out --channels and --cells"
    assert leave in refused("count", "resnet20", "--cells", 4)
    assert leave in refused("count", tmp_path / "base.json", "--channels", 4)
    for flag, value in (("--channels", 0), ("--cells", -1), ("--cells", 10**9)):
        text = refused("count", "darts_v2", flag, value)
        assert text == f"{flag} must be from 1 to 10000, not {value}"
    for flag, value in (("--classes", 0), ("--image-size", -3), ("--image-size", 10**9)):
        text = refused("count", "resnet20", flag, value)
        assert text == f"{flag} must be from 1 to 100000, not {value}"


def test_a_network_that_would_take_hours_is_refused(refused, tmp_path):
    blocks = tiny.BASE.blocks[:1] * 100_000
    text = json.dumps(json.loads(tiny.BASE.to_json()) | {"blocks": [vars(blocks[0])] * 100_000})
    (tmp_path / "long.json").write_text(text)
    told = "have more operations or nodes together than the 4,000 that a network may have"
    assert told in refused("count", tmp_path / "long.json")
    assert told in refused("count", "darts_v2", "--cells", 10_000)


@pytest.mark.parametrize("command", ["count", "show"])
def test_a_pipe_is_no_network(refused, tmp_path, command):
    os.mkfifo(tmp_path / "a.json")
    assert refused(command, tmp_path / "a.json") == (
        f"{tmp_path / 'a.json'} cannot be read: it is a named pipe, not a file"
    )


@pytest.mark.parametrize("word", ["5_0", "٥"])
def test_a_flag_takes_plain_numbers_alone(monkeypatch, capsys, word):
    monkeypatch.setattr(sys, "argv", ["jaxnas", "count", "plain20", "--classes", word])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert f"'{word}' is no whole number" in capsys.readouterr().err


def test_a_setting_that_jax_does_not_start_with_is_told():
    for words in (["-m", "jaxnas", "zoo"], ["experiments/estimator_grid.py", "--help"]):
        done = subprocess.run(
            [sys.executable, *words],
            env=os.environ | {"JAX_ENABLE_X64": "maybe"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("error: JAX does not start with ")
        assert "JAX_ENABLE_X64=maybe" in done.stderr


@pytest.mark.parametrize(("columns", "least", "most"), [("1", 20, 40), ("9" * 9, 80, 1000)])
def test_help_is_laid_out_in_columns_of_any_number(monkeypatch, capsys, columns, least, most):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "argv", ["jaxnas", "adapt", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert least <= max(map(len, capsys.readouterr().out.splitlines()[3:])) <= most


def test_a_network_that_cannot_be_built_is_told(refused, tmp_path):
    dead = json.loads(tiny.BASE.to_json())
    for cell in dead["cells"]:
        for edge in cell["edges"]:
            edge["op"] = NULL
    (tmp_path / "dead.json").write_text(json.dumps(dead))
    assert "no path of edges leads from" in refused("count", tmp_path / "dead.json")


def test_what_cannot_be_written_is_told(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused("show", "plain20", "--out", tmp_path / "no" / "a.dot")
    assert "cannot be made" in refused("show", "plain20", "--out", tmp_path / "file" / "below")
    assert "not .pdf" in refused("show", "plain20", "--out", tmp_path / "a.pdf")
    assert "cannot be written" in refused("convert", "plain20", tmp_path / "file" / "a.json")
    assert "must be a .json or a .txt" in refused("convert", "plain20", tmp_path / "a.yaml")
    assert "use .json" in refused("convert", "plain20", tmp_path / "a.txt")
    assert "use .json" in refused("convert", "nasnet_a", tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_file_is_written_whole_or_left_as_it_was(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    (tmp_path / "a.json").write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    told = f"^{re.escape(str(tmp_path / 'a.json'))} cannot be written .No space left on device.; "
    with pytest.raises(WriteError, match=f"{told}make room, or choose another place$"):
        write(tmp_path / "a.json", b"after")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "before")]


def test_a_setting_of_adapt_that_cannot_be_is_told(refused):
    assert refused("adapt", "--epochs", 0) == "--epochs must be above 0, not 0"


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["show"], ["count", "resnet20", "--cells", "x"], ["zoo", "--magic"]]
)
def test_what_is_no_command_is_told_without_a_traceback(monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["jaxnas", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err


NO_JAX = """
import sys
from jaxnas.cli import main
from jaxnas.cli.output import write
for words in (["zoo"], ["show", "nasnet_a"], ["zoo", "--help"], ["adapt", "--help"]):
    sys.argv = ["jaxnas", *words]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0
loaded = {"jax", "flax", "orbax", "matplotlib"} & set(sys.modules)
assert not loaded, loaded
"""


def unset():
    """The environment without settings that JAX would have to be imported to check."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return others | {"JAX_PLATFORMS": "cpu"}


def test_what_needs_no_jax_does_not_wait_for_it():
    done = subprocess.run(
        [sys.executable, "-c", NO_JAX], env=unset(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--blocks", "0"], "there is no such space: blocks must be 1 to 7, not 0"),
        (["--worker-count", "2"], "--worker-count 2 is for --workers processes or --workers ray"),
        (["--child.batch-size", "0"], "must be above 0, not 0"),
        (["--children", "0"], "--children must be at least 1, not 0"),
        (["--dataset", "nowhere"], "no data set and no path that exists"),
    ],
)
def test_a_search_that_cannot_be_is_told_in_one_line(
    refused, monkeypatch, tmp_path, flags, message
):
    monkeypatch.chdir(tmp_path)
    assert message in refused("search", *flags)
    assert not list(tmp_path.iterdir())


def test_the_command_line_starts_without_jax():
    code = "import sys, jaxnas.cli; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=unset()).returncode == 0


def test_the_package_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "jaxnas", "zoo", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == len(zoo.ZOO)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("adapt", "interrupted; the same command with --resume goes on\n"),
        ("search", "interrupted; the same command with --resume goes on\n"),
        ("zoo", "interrupted\n"),
    ],
)
def test_an_interrupt_ends_the_process_at_once(monkeypatch, capsys, command, said):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "_exit", sys.exit)
    monkeypatch.setattr("jaxnas.cli.commands.Zoo.run", interrupt)
    monkeypatch.setattr("jaxnas.cli.commands.Adapt.run", interrupt)
    monkeypatch.setattr("jaxnas.cli.commands.Search.run", interrupt)
    monkeypatch.setattr(sys, "argv", ["jaxnas", command])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == said
