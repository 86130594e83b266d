"""Checkpoints: the last two and the best, each proved whole by its digest when it is read.

Orbax writes them, atomically: to a temporary folder, which is then renamed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxnas import reading
from jaxnas.storage import files, packed_arrays
from jaxnas.storage.digest import host_leaves, leaves_digest
from jaxnas.storage.files import RunError, WriteError

AbstractFn = Callable[[dict[str, Any]], Any]

_TRASH = ".deleted-"
_UNFINISHED = ".orbax-checkpoint-tmp"


class _Unusable(Exception):
    """Why a checkpoint cannot be used."""


class Checkpoints:
    """The checkpoints of one run in a folder of their own."""

    def __init__(
        self, folder: str | os.PathLike[str], warn: Callable[[str], None] = warnings.warn
    ) -> None:
        """Opens the folder, which is made if it is not there.

        Args:
          folder: holds nothing but this run's checkpoints.
          warn: is told, in a sentence, of each checkpoint that cannot be used.
        """
        # Orbax tells of every step it takes, and of what fails before it raises it.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._folder = Path(folder).resolve()
        self._warn = warn
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self._folder} cannot be made ({error.strerror}); use another --run-dir"
            ) from error
        self._scores: dict[int, float] = {}
        for epoch in self._epochs():
            try:
                self._scores[epoch] = self._read_meta(epoch)["score"]
            except _Unusable:
                continue  # `restore` will say so

    def save(self, epoch: int, tree: Any, meta: dict[str, Any], score: float) -> None:
        """Saves one epoch's state; when this returns it is on disk.

        Then removes all but the last two and the best (of equally good ones the first).

        Args:
          epoch: greater than that of every checkpoint there is.
          tree: pytree of JAX or NumPy arrays, NumPy scalars and typed keys.
          meta: JSON-able; what `abstract_fn` needs to know the tree again.
          score: of this epoch, finite; greater is better.

        Raises:
          RunError: if there is a later checkpoint, a leaf is no array or of a dtype that JAX would
            not give back, the score or `meta` has no JSON form, or the disk is full.
        """
        if any(epoch <= known for known in self._scores):
            raise RunError(
                f"{self._folder} holds a checkpoint of epoch {max(self._scores)} already, not "
                f"before epoch {epoch}; use --resume to go on from it or --overwrite to start anew"
            )
        leaves = host_leaves(tree)
        for leaf in leaves:
            if leaf.key_impl is None and jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype:
                raise RunError(
                    f"{leaf.path} is {leaf.dtype}, which JAX without jax_enable_x64 cannot give "
                    "back; cast it to 32 bits"
                )
        content = {
            "epoch": epoch,
            "score": float(score),
            "digest": leaves_digest(leaves),
            "layout": packed_arrays.layout_of(leaves),
            "meta": meta,
        }
        content = json.loads(files.to_json(content, f"the checkpoint of epoch {epoch}"))
        content["meta_digest"] = _meta_digest(content)
        self._remove_leftovers()
        self._remove([epoch])  # one that could not be used
        try:
            with _checkpointer() as checkpointer:
                checkpointer.save(
                    self._folder / str(epoch),
                    args=ocp.args.Composite(
                        state=ocp.args.PyTreeSave(packed_arrays.pack(leaves)),
                        meta=ocp.args.JsonSave(content),
                    ),
                )
            files.sync_folder(self._folder)
        except (OSError, ValueError, RuntimeError) as error:  # TensorStore raises any of them
            raise WriteError(
                f"the checkpoint of epoch {epoch} cannot be written to {self._folder} "
                f"({_reason(error)}); "
                "make room and use --resume"
            ) from error
        self._scores[epoch] = float(score)
        kept = {*sorted(self._scores)[-2:], self._by_score()[0]}
        self._remove(known for known in self._epochs() if known not in kept)
        self._scores = {known: self._scores[known] for known in sorted(kept)}

    def restore(self, abstract_fn: AbstractFn) -> tuple[int, Any, dict[str, Any]] | None:
        """The newest checkpoint that is whole.

        Args:
          abstract_fn: given a checkpoint's `meta`, the pytree of `jax.ShapeDtypeStruct` (or of
            arrays) to restore into. A leaf's sharding is respected if it has one.

        Returns:
          (epoch, tree, meta), bitwise as saved, or None if there is no checkpoint at all.

        Raises:
          RunError: if there are checkpoints and none can be used.
        """
        found = self._first_usable(sorted(self._epochs(), reverse=True), abstract_fn)
        if found is not None:
            # Those after it are no good, and will be overwritten.
            self._scores = {each: s for each, s in self._scores.items() if each <= found[0]}
        return found

    def restore_best(self, abstract_fn: AbstractFn) -> tuple[int, Any, dict[str, Any]] | None:
        """The best checkpoint that is whole; else as `restore`."""
        ranked = self._by_score()
        unreadable = [epoch for epoch in self._epochs() if epoch not in ranked]
        return self._first_usable([*ranked, *reversed(unreadable)], abstract_fn)

    def _first_usable(
        self, epochs: list[int], abstract_fn: AbstractFn
    ) -> tuple[int, Any, dict[str, Any]] | None:
        for left in sorted(self._folder.glob(f"*{_UNFINISHED}*")):
            self._warn(f"checkpoint {left} was not finished when its run was killed; it is ignored")
        for epoch in epochs:
            try:
                content = self._read_meta(epoch)
                return epoch, self._read_tree(epoch, content, abstract_fn), content["meta"]
            except _Unusable as reason:
                self._warn(f"checkpoint {self._folder / str(epoch)} is passed over: {reason}")
        if epochs:
            raise RunError(
                f"none of the checkpoints in {self._folder} can be used; "
                "use --overwrite to start anew or another --run-dir"
            )
        return None

    def _epochs(self) -> list[int]:
        return sorted(
            int(entry.name)
            for entry in self._folder.iterdir()
            if entry.is_dir() and entry.name.isdecimal() and str(int(entry.name)) == entry.name
        )

    def _by_score(self) -> list[int]:
        """Epochs of known score, the best first."""
        return sorted(self._scores, key=lambda epoch: (-self._scores[epoch], epoch))

    def _read_meta(self, epoch: int) -> dict[str, Any]:
        content = self._read(epoch, "meta", ocp.args.JsonRestore())
        if not isinstance(content, dict) or content.get("meta_digest") != _meta_digest(content):
            raise _Unusable("its metadata is damaged or of another program")
        if content["epoch"] != epoch:
            raise _Unusable(f"it is that of epoch {content['epoch']}")
        return content

    def _read_tree(self, epoch: int, content: dict[str, Any], abstract_fn: AbstractFn) -> Any:
        try:
            abstract = abstract_fn(content["meta"])
        except (KeyError, TypeError, ValueError) as error:
            raise _Unusable(f"its metadata describes no state of this run ({error!r})") from error
        wanted, structure = jax.tree_util.tree_flatten_with_path(abstract)
        layout = content["layout"]
        if different := packed_arrays.difference(
            layout, [(jax.tree_util.keystr(path), leaf) for path, leaf in wanted]
        ):
            raise _Unusable(different)
        sizes = packed_arrays.packed_sizes(layout)
        packed: dict[str, np.ndarray] = {}
        if sizes:
            packed = self._read(
                epoch,
                "state",
                ocp.args.PyTreeRestore(
                    item=dict.fromkeys(sizes, 0),
                    restore_args=dict.fromkeys(sizes, ocp.RestoreArgs(restore_type=np.ndarray)),
                ),
            )
        for kind, size in sizes.items():
            if packed[kind].shape != (size,) or str(packed[kind].dtype) != kind:
                raise _Unusable(f"its {kind} numbers are not as many as its metadata says")
        leaves = packed_arrays.unpack(packed, layout)
        if leaves_digest(leaves) != content["digest"]:
            raise _Unusable("its content does not agree with its digest")
        arrays = [
            packed_arrays.to_device(leaf, getattr(abstract_leaf, "sharding", None))
            for leaf, (_, abstract_leaf) in zip(leaves, wanted, strict=True)
        ]
        return jax.tree_util.tree_unflatten(structure, arrays)

    def _read(self, epoch: int, item: str, arguments: Any) -> Any:
        try:
            for path in (self._folder / str(epoch) / item).rglob("*"):
                if not path.is_dir():
                    reading.regular(path)
            with _checkpointer() as checkpointer:
                restored = checkpointer.restore(
                    self._folder / str(epoch), args=ocp.args.Composite(**{item: arguments})
                )
                return restored[item]
        except Exception as error:  # whatever a damaged file makes Orbax or TensorStore raise
            reason = " ".join(str(error).split())[:200]
            raise _Unusable(f"its {item} cannot be read ({reason})") from error

    def _remove(self, epochs: Iterable[int]) -> None:
        for epoch in list(epochs):
            if (folder := self._folder / str(epoch)).exists():
                # Renamed first: a kill must not leave half a checkpoint under its name.
                folder.rename(trash := self._folder / f"{_TRASH}{epoch}")
                shutil.rmtree(trash)

    def _remove_leftovers(self) -> None:
        for pattern in (f"{_TRASH}*", f"*{_UNFINISHED}*"):
            for left in self._folder.glob(pattern):
                shutil.rmtree(left)


def _checkpointer() -> ocp.Checkpointer:
    return ocp.Checkpointer(
        ocp.CompositeCheckpointHandler(
            state=ocp.PyTreeCheckpointHandler(), meta=ocp.JsonCheckpointHandler()
        )
    )


def _reason(error: Exception) -> str:
    """What the system says, where TensorStore tells its number somewhere in a long text."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(number[1])) if number else " ".join(str(error).split())


def _meta_digest(content: dict[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "meta_digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
