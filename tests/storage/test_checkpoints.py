import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.spaces import Genotype
from jaxnas.spaces.zoo import named
from jaxnas.storage import Checkpoints, RunError, run_digest
from jaxnas.storage.digest import digest
from support.leaves import plain

pytestmark = pytest.mark.oldest


@pytest.fixture
def largest_file():
    """Lets no file of this process become larger than so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_in_one_sentence_and_the_last_checkpoint_stays(
    tmp_path, largest_file, caplog, capfd
):
    checkpoints = Checkpoints(tmp_path, lambda sentence: None)
    tree = {"w": jnp.zeros(200_000), "noise": jax.random.normal(jax.random.key(0), (200_000,))}
    checkpoints.save(1, tree, {}, 1.0)
    capfd.readouterr()  # XLA may have had to say something of a program that it kept
    largest_file(100_000)
    with pytest.raises(RunError) as caught:
        checkpoints.save(2, tree, {}, 1.0)
    largest_file(resource.RLIM_INFINITY)
    assert str(caught.value) == (
        f"the checkpoint of epoch 2 cannot be written to {tmp_path} (File too large); make room "
        "and use --resume"
    )
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert checkpoints.restore(lambda meta: tree)[0] == 1


class State(NamedTuple):
    params: dict
    opt: tuple
    key: jax.Array
    extra: tuple


def make(seed=0):
    key = jax.random.key(seed)
    params = {
        "conv": {"kernel": jax.random.normal(key, (3, 3, 16, 32)), "bias": jnp.zeros(32)},
        "half": jax.random.normal(key, (5, 7)).astype(jnp.bfloat16),
        "odd": jnp.array([np.nan, -0.0, np.inf, 1e-40], jnp.float32),
    }
    tx = optax.chain(optax.clip_by_global_norm(5.0), optax.sgd(0.1, momentum=0.9))
    extra = (
        np.arange(3, dtype=np.uint32),
        jnp.array([True, False]),
        jnp.int32(-7),
        jnp.zeros((0, 3)),
        np.float16(1.5),
        jax.random.split(key, 4),
    )
    return State(params, tx.init(params), key, extra)


def abstract(meta):
    del meta
    return jax.eval_shape(make)


def bits(leaf):
    return plain(leaf).tobytes()


def steps(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def three(folder, warn=warnings.warn):
    """A folder with checkpoints 1 (the best), 2 and 3."""
    checkpoints = Checkpoints(folder, warn)
    for epoch in (1, 2, 3):
        checkpoints.save(epoch, make(epoch), {"name": f"e{epoch}"}, score=-float(epoch))
    return checkpoints


def test_round_trip_is_bitwise(tmp_path):
    saved = make(5)
    meta = {"genotype": named("resnet20").to_json(), "nested": [1, {"x": None}]}
    Checkpoints(tmp_path).save(1, saved, meta, score=91.5)
    found = Checkpoints(tmp_path).restore(abstract)
    assert found is not None
    epoch, tree, read = found
    assert (epoch, read) == (1, meta)
    assert jax.tree.structure(tree) == jax.tree.structure(saved)
    for was, is_now in zip(jax.tree.leaves(saved), jax.tree.leaves(tree), strict=True):
        assert isinstance(is_now, jax.Array)
        assert (was.dtype, was.shape) == (is_now.dtype, is_now.shape)
        assert bits(was) == bits(is_now)
    assert digest(tree) == digest(saved)
    draw = jax.random.normal(tree.key, (3,))
    assert bits(draw) == bits(jax.random.normal(saved.key, (3,)))


def test_the_meta_chooses_the_tree(tmp_path):
    Checkpoints(tmp_path).save(1, {"w": jnp.ones((4, 2))}, {"width": 4}, score=0.0)
    found = Checkpoints(tmp_path).restore(
        lambda meta: {"w": jax.ShapeDtypeStruct((meta["width"], 2), jnp.float32)}
    )
    assert found is not None
    assert found[1]["w"].shape == (4, 2)


def test_none_if_there_is_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "new").restore(abstract) is None
    assert Checkpoints(tmp_path / "new").restore_best(abstract) is None


@pytest.mark.parametrize(
    ("scores", "kept", "best"),
    [
        ([5.0, 1.0, 2.0, 3.0, 4.0], [1, 4, 5], 1),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [4, 5], 5),
        ([1.0, 9.0, 3.0, 9.0, 5.0, 9.0, 0.0], [2, 6, 7], 2),  # of equals the first
    ],
)
def test_kept_are_the_last_two_and_the_best(tmp_path, scores, kept, best):
    for epoch, score in enumerate(scores, start=1):
        # Opened anew each time, as a run does that is killed and resumed after every epoch.
        Checkpoints(tmp_path).save(epoch, {"w": jnp.float32(epoch)}, {}, score)
    assert steps(tmp_path) == kept
    scalar = {"w": jax.ShapeDtypeStruct((), jnp.float32)}
    last = Checkpoints(tmp_path).restore(lambda _: scalar)
    top = Checkpoints(tmp_path).restore_best(lambda _: scalar)
    assert last is not None
    assert top is not None
    assert (last[0], float(last[1]["w"])) == (len(scores), len(scores))
    assert (top[0], float(top[1]["w"])) == (best, best)


def biggest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(folder):
    path = biggest(folder / "state")
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) // 3 + 40):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def edit_meta(folder):
    path = folder / "meta" / "metadata"
    content = json.loads(path.read_text())
    content["meta"]["name"] = "e9"
    path.write_text(json.dumps(content))


def swap_state(folder):
    """A checkpoint whose arrays are sound, but those of another epoch."""
    shutil.rmtree(folder / "state")
    shutil.copytree(folder.parent / "2" / "state", folder / "state")


def cut_meta(folder):
    path = folder / "meta" / "metadata"
    path.write_bytes(path.read_bytes()[:100])


DAMAGE = {
    "bytes flipped": (flip, "state cannot be read|digest"),
    "file deleted": (lambda folder: biggest(folder / "state").unlink(), "state cannot be read"),
    "state deleted": (lambda folder: shutil.rmtree(folder / "state"), "state cannot be read"),
    "empty folder": (empty, "meta cannot be read"),
    "metadata truncated": (cut_meta, "meta cannot be read"),
    "metadata edited": (edit_meta, "metadata is damaged"),
    "state of another epoch": (swap_state, "digest"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, name):
    damage, reason = DAMAGE[name]
    three(tmp_path)
    damage(tmp_path / "3")
    with pytest.warns(UserWarning, match=rf"{tmp_path}/3 is passed over: .*({reason})") as told:
        found = Checkpoints(tmp_path).restore(abstract)
    assert len(told) == 1
    assert found is not None
    assert (found[0], found[2]) == (2, {"name": "e2"})
    assert digest(found[1]) == digest(make(2))


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", DAMAGE)
def test_after_falling_back_the_run_goes_on(tmp_path, name):
    three(tmp_path)
    DAMAGE[name][0](tmp_path / "3")
    said = []
    checkpoints = Checkpoints(tmp_path, said.append)
    checkpoints.restore(abstract)
    for epoch in (3, 4):
        checkpoints.save(epoch, make(epoch), {"name": f"e{epoch}"}, score=-float(epoch))
    assert steps(tmp_path) == [1, 3, 4]
    found = Checkpoints(tmp_path).restore(abstract)
    assert found is not None
    assert digest(found[1]) == digest(make(4))
    assert len(said) == 1


def test_a_damaged_best_is_named_and_the_next_best_is_used(tmp_path):
    three(tmp_path)
    flip(tmp_path / "1")
    said = []
    found = Checkpoints(tmp_path, said.append).restore_best(abstract)
    assert found is not None
    assert found[0] == 2
    assert len(said) == 1
    assert f"{tmp_path}/1 is passed over" in said[0]


def test_if_none_can_be_used_the_folder_is_named(tmp_path):
    three(tmp_path)
    for epoch in (1, 2, 3):
        flip(tmp_path / str(epoch))
    said = []
    with pytest.raises(RunError, match=f"none of the checkpoints in {tmp_path} can be used; use"):
        Checkpoints(tmp_path, said.append).restore(abstract)
    assert [text[text.index(" is") - 2 :][:5] for text in said] == ["/3 is", "/2 is", "/1 is"]


def test_another_tree_is_named_with_the_first_difference(tmp_path):
    three(tmp_path)
    said = []

    def other(_):
        tree = jax.eval_shape(make)
        return tree._replace(params={**tree.params, "half": jax.ShapeDtypeStruct((2,), "float32")})

    with pytest.raises(RunError, match="none of the checkpoints"):
        Checkpoints(tmp_path, said.append).restore(other)
    place = ".params['half']"
    assert f"bfloat16[5, 7] at {place}, where this run needs float32[2]" in said[0]
    with pytest.raises(RunError, match="none of the checkpoints"):
        Checkpoints(tmp_path, said.append).restore(lambda meta: meta["no such field"])
    assert "describes no state of this run (KeyError('no such field'))" in said[3]


def test_what_a_kill_left_is_named_and_removed_by_the_next_save(tmp_path):
    three(tmp_path)
    (tmp_path / "4.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    said = []
    checkpoints = Checkpoints(tmp_path, said.append)
    found = checkpoints.restore(abstract)
    assert found is not None
    assert found[0] == 3
    assert "4.orbax-checkpoint-tmp was not finished" in said[0]
    checkpoints.save(4, make(4), {}, score=0.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]


def test_what_cannot_be_saved_is_refused_and_nothing_lost(tmp_path):
    checkpoints = three(tmp_path)
    good = {"w": jnp.ones(2)}
    with pytest.raises(RunError, match=r"epoch 3 already, not before epoch 3; use --resume"):
        checkpoints.save(3, good, {}, 0.0)
    with pytest.raises(RunError, match=r"\['lr'\] is a float, not an array"):
        checkpoints.save(4, {"lr": 0.1}, {}, 0.0)
    with pytest.raises(RunError, match=r"\['w'\] is float64, which JAX without"):
        checkpoints.save(4, {"w": np.ones(2)}, {}, 0.0)
    with pytest.raises(RunError, match="epoch 4: score = nan has no JSON form"):
        checkpoints.save(4, good, {}, float("nan"))
    with pytest.raises(RunError, match=r"meta\.x = .* has no JSON form"):
        checkpoints.save(4, good, {"x": object()}, 0.0)
    assert steps(tmp_path) == [1, 2, 3]


LOOP = """
import sys
import jax.numpy as jnp
from jaxnas.storage.checkpoints import Checkpoints
checkpoints = Checkpoints(sys.argv[1], warn=lambda text: None)
found = checkpoints.restore(lambda meta: {"w": jnp.zeros(200_000), "n": jnp.int32(0)})
epoch = found[0] if found else 0
print("ready", epoch, flush=True)
while True:
    epoch += 1
    tree = {"w": jnp.full(200_000, epoch, jnp.float32), "n": jnp.int32(epoch)}
    checkpoints.save(epoch, tree, {"epoch": epoch}, score=float(epoch % 7))
    print(epoch, flush=True)
"""


def test_killed_at_any_moment_the_last_save_that_returned_can_be_restored(tmp_path):
    moments = random.Random(0)
    shapes = {
        "w": jax.ShapeDtypeStruct((200_000,), jnp.float32),
        "n": jax.ShapeDtypeStruct((), "i4"),
    }
    before = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["ready", str(before)]
        # However slow the machine, some saves return before the kill.
        returned = [int(process.stdout.readline()) for _ in range(moments.randint(1, 3))]
        time.sleep(moments.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        returned += [int(line) for line in process.stdout.read().split()]
        process.stdout.close()
        found = Checkpoints(tmp_path, warn=lambda text: None).restore(lambda _: shapes)
        assert found is not None
        epoch, tree, meta = found
        # The save under way when the kill came may or may not have been completed.
        assert epoch in (last := max([before, *returned]), last + 1)
        assert meta == {"epoch": epoch}
        assert int(tree["n"]) == epoch
        assert (np.asarray(tree["w"]) == epoch).all()
        before = epoch


def test_digest_sees_path_dtype_shape_and_bytes_but_not_the_order_of_insertion():
    a, b = jnp.arange(4, dtype=jnp.float32), jnp.zeros(4, jnp.float32)
    same = digest({"a": a, "b": b})
    assert same == digest({"b": np.asarray(b), "a": a})
    others = [
        {"a": b, "b": a},
        {"a": a, "c": b},
        {"a": a.reshape(2, 2), "b": b},
        {"a": a, "b": b.astype(jnp.int32)},
        {"a": a, "b": b.at[0].set(-0.0)},
        {"a": a},
    ]
    assert len({same, *map(digest, others)}) == 7
    assert len(same) == 64


def test_run_digest_sees_parameters_and_genotype():
    params, genotype = {"w": jnp.ones(3)}, named("resnet20")
    first = run_digest(params, genotype)
    assert first == run_digest(params, Genotype.from_json(genotype.to_json()))
    assert first != run_digest(params, named("plain20"))
    assert first != run_digest({"w": jnp.zeros(3)}, genotype)
