"""Bytes that tensors take while code runs, counted operation by operation: real ones, or ones without memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nbcore.training.private import FakeTensorMode, TorchDispatchMode, tree_leaves

OF_EXPERTS = "aten._grouped_mm.default"  # each token's row by the weight of its expert


class Counting(TorchDispatchMode):
    """Counts the storages that operations under it make, from their making until nothing refers to them.

    `now` and `peak` are bytes. What an operation takes inside of itself and gives back is not seen, nor is the
    rounding and fragmentation of a GPU's allocator. `know` adds tensors that were there before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.storages: dict[int, weakref.ref] = {}

    def know(self, tensors: Any) -> None:
        """Count the tensors in any nesting of lists and dicts, each storage once."""
        for value in tree_leaves(tensors):
            if isinstance(value, torch.Tensor):
                self.note(value.untyped_storage())
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self.know(result)
        return result

    def note(self, storage: torch.UntypedStorage) -> None:
        """Count a storage from now until nothing refers to it, unless it is counted already."""
        key, size = id(storage), storage.nbytes()
        known = self.storages.get(key)
        if known is not None and known() is storage:
            return

        def gone(reference: weakref.ref) -> None:
            self.now -= size
            if self.storages.get(key) is reference:
                del self.storages[key]

        self.now += size
        self.storages[key] = weakref.ref(storage, gone)


class FloatExperts(TorchDispatchMode):
    """The product of experts in float32 too: for tensors without memory torch 2.13 knows it in bfloat16 alone."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if str(operation) != OF_EXPERTS or args[0].dtype != torch.float32:
            return operation(*args, **(kwargs or {}))
        tokens, weights, *rest = args
        return operation(tokens.bfloat16(), weights.bfloat16(), *rest, **(kwargs or {})).float()


@contextmanager
def without_memory(model: torch.nn.Module) -> Iterator[None]:
    """For as long as it lasts, tensors have shapes and types but no memory; those of `model`, which was made on the
    "meta" device, become such tensors on the CPU, so that every operation picks the CPU's way."""
    with FakeTensorMode(), FloatExperts():
        made: dict[int, torch.Tensor] = {}  # a weight that two layers share stays one
        for module in model.modules():
            for name, value in list(module.named_parameters(recurse=False, remove_duplicate=False)):
                if id(value) not in made:
                    empty = torch.empty(value.shape, dtype=value.dtype)
                    made[id(value)] = torch.nn.Parameter(empty, requires_grad=value.requires_grad)
                setattr(module, name, made[id(value)])
            for name, value in list(module.named_buffers(recurse=False)):
                setattr(module, name, torch.empty(value.shape, dtype=value.dtype))
        yield
