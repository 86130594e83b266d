"""Trained networks as ONNX models, which other runtimes read."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from jaxnas.nn import kernels
from jaxnas.nn.network import Network
from jaxnas.nn.weights.checks import WeightsError, check_fits, class_names_text
from jaxnas.nn.weights.init import named_leaves

CLASS_NAMES = "class_names"
"""The property of the model that holds the names of the logits, a JSON list."""


def export_onnx(
    network: Network,
    variables: Any,
    input_shape: tuple[int, int, int],
    class_names: Sequence[str] | None = None,
) -> bytes:
    """The network in evaluation mode as an ONNX model (opset 23), its variables in it.

    Its input ``images`` is float32 [B, h, w, c] of any B, normalised as for the network; its output
    ``logits`` is float32 [B, classes]. The conversion is jax2onnx's.

    Args:
      network: not a supernet.
      variables: ``{"params": ..., "batch_stats": ...}``.
      input_shape: [h, w, c] of an image.
      class_names: of the logits, in their order, which the model holds as a property; None to leave
        them out.

    Raises:
      WeightsError: without jax2onnx, if the network takes no images of that shape, `variables` are
        not its own, or there is not one name for each logit; or if jax2onnx cannot convert it.
    """
    check_fits("the tree of variables", named_leaves(variables), network, input_shape)
    try:
        with _quiet():
            from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise WeightsError(
            f"an ONNX model is made with jax2onnx ({error}): in a checkout, "
            'pip install ".[onnx]" in an environment of its own, since it needs an older Orbax'
        ) from error

    def logits(images: Any) -> Any:
        return network.apply(variables, images, train=False)

    try:
        with _quiet(), kernels.portable("onnx"):
            model: Any = to_onnx(
                logits,
                [("B", *input_shape)],
                model_name=network.genotype.name,
                input_names=["images"],
                output_names=["logits"],
            )
    except Exception as error:  # whatever its plugins meet
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"jax2onnx cannot convert {network.genotype.name} ({reason})") from error
    if class_names is not None:
        outputs = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
        names = class_names_text("class_names", class_names, outputs)
        model.metadata_props.add(key=CLASS_NAMES, value=names)
    return model.SerializeToString()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out what the converter's libraries have to say of shapes that they do not know."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
