"""Networks as StableHLO programs."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import pytest

from jaxnas.nn import WeightsError, build
from jaxnas.nn.weights.checks import read_class_names
from jaxnas.nn.weights.export import export, load_exported
from support.networks import CLASSES, SHAPE, SMALL, assert_close, images, random_variables


@functools.cache
def whole(name):
    module = build(SMALL[name], CLASSES)
    return module, random_variables(module)


@functools.cache
def program(name, platforms):
    return export(*whole(name), SHAPE, platforms)


@functools.cache
def logits(name, batch):
    module, variables = whole(name)
    return jax.jit(lambda x: module.apply(variables, x, train=False))(images(batch=batch))


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("name", "platforms"),
    [
        ("mobilenet", ("cpu", "cuda")),
        ("concat", ("cpu", "cuda")),
        pytest.param("mobilenet", ("cpu",), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_a_program_computes_the_network_s_logits_for_any_batch(name, platforms, as_file, tmp_path):
    data = program(name, platforms)
    if as_file:
        (tmp_path / "network").write_bytes(data)
    run = load_exported(tmp_path / "network" if as_file else data)
    for batch in (1, 3):
        assert_close(run(images(batch=batch)), logits(name, batch))


def test_a_program_names_its_logits():
    names = tuple(f"«{number}»" for number in range(CLASSES))
    run = load_exported(export(*whole("concat"), SHAPE, ("cpu",), names))
    assert run.class_names == names
    assert_close(run(images(batch=2)), logits("concat", 2))
    assert load_exported(program("concat", ("cpu", "cuda"))).class_names is None
    for nested in ("[" * 100_000 + "]" * 100_000, '["a", "a", NaN]'):
        with pytest.raises(WeightsError, match="one class name for each of its 3 logits"):
            read_class_names("it", nested, 3)
    with pytest.raises(WeightsError, match=f"one class name for each of its {CLASSES} logits"):
        export(*whole("concat"), SHAPE, ("cpu",), names[1:])


def test_a_program_knows_its_platforms_and_its_images():
    exported = jax.export.deserialize(bytearray(program("concat", ("cpu", "cuda"))))
    assert exported.platforms == ("cpu", "cuda")
    (images_aval,) = exported.in_avals
    assert str(images_aval.shape[0]) == "batch"
    assert images_aval.shape[1:] == SHAPE
    assert images_aval.dtype == jnp.float32


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:10],
        lambda _: b"",
        lambda _: b"n" * 99,
    ],
)
def test_a_damaged_program_is_refused(damage):
    with pytest.raises(WeightsError, match="is no exported network or is damaged"):
        load_exported(damage(program("concat", ("cpu", "cuda"))))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no file .*nowhere"):
        load_exported(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="it is a folder, not a file"):
        load_exported(tmp_path)
    with pytest.raises(WeightsError, match="a int is no path of a file"):
        load_exported(3)  # which bytearray makes three bytes of


@pytest.mark.parametrize("platforms", ["cpu", (), None, ("cpu", "gpu")])
def test_platforms_are_a_tuple_of_known_ones(platforms):
    with pytest.raises(ValueError, match=r"platforms must be a tuple out of cpu, .*, not "):
        export(*whole("concat"), SHAPE, platforms)


def test_a_program_that_calls_out_is_not_run():
    image = jax.ShapeDtypeStruct((1, *SHAPE), jnp.float32)
    triangle = jax.jit(lambda x: jnp.linalg.qr(x).R)
    exported = jax.export.export(triangle, platforms=["cpu"])(image)
    with pytest.raises(WeightsError, match=r"calls lapack_.*, which no network needs"):
        load_exported(bytes(exported.serialize()))


def test_a_program_of_something_else_is_refused():
    square = jax.ShapeDtypeStruct((2, 2), jnp.float32)
    exported = jax.export.export(jax.jit(jnp.add), platforms=["cpu"])(square, square)
    with pytest.raises(WeightsError, match="does not take images alone"):
        load_exported(bytes(exported.serialize()))
