"""The command line of DARTS: its flags, and the space that they make."""

import jax
import jax.numpy as jnp
import pytest

from jaxnas.commands.methods.darts_method import DartsFlags, make_darts
from jaxnas.data import Augmentation
from jaxnas.tasks import supervised
from support import scripts, tiny

NAME = "darts_cifar"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--operations", "null"], "--operations must name one other than null"),
        (["--operations", "null", "magic"], "there is no such space: unknown operation 'magic'"),
        (["--search-cells", "0"], "there is no such space"),
        (["--search-epochs", "0"], "--search-epochs must be at least 1, not 0"),
        (["--epochs", "0"], "--epochs must be above 0, not 0"),
        (["--dataset", "nowhere"], "no data set and no path that exists"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


def test_an_order_that_does_not_exist_is_named(monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        scripts.run(monkeypatch, NAME, "--darts.order", "third")
    assert caught.value.code == 2
    assert "third" in "".join(capsys.readouterr())


def test_networks_have_the_flags_sizes_and_two_edges_a_node():
    flags = DartsFlags(search_channels=2, search_cells=3, nodes=2, channels=6, cells=5)
    data = tiny.dataset()
    task = supervised(4, data.channel_mean(), data.channel_std(), Augmentation())
    method = make_darts(flags, task, data, {"train": 5, "arch": 5})
    drawn = [method.random(jax.random.key(seed)) for seed in range(5)]
    assert len(set(drawn)) == 5
    assert method.random(jax.random.key(0)) == drawn[0]
    state = jax.eval_shape(method.search.init, jax.random.key(0))
    assert state.alpha.shape == (2, 5, 8)
    alpha = jnp.zeros((2, 5, 8)).at[..., 4].set(1)
    state = state._replace(alpha=alpha, alpha_before=alpha, step=5)
    found = method.search.found(state, {}, jax.random.key(0)).genotype
    assert {edge.op for cell in found.cells for edge in cell.edges} == {"sep_conv_3x3"}
    for genotype in (found, *drawn):
        assert (len(genotype.blocks), genotype.blocks[0].channels) == (5, 6)
        for cell in genotype.cells:
            targets = [edge.target for edge in cell.edges]
            assert targets == [2, 2, 3, 3]
            assert len({(edge.source, edge.target) for edge in cell.edges}) == 4
            assert all(edge.op != "null" for edge in cell.edges)
