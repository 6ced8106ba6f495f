"""Whether a base is what a config takes it for: its attention, the form it is stored in, and that it is whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbcore import config as configs

ONLY_EAGER = ("gpt_oss",)  # of the kernels that are offered here


def check(model: configs.Model, shape: Any) -> None:
    """Raises ValueError naming the field where a config asks for what a base of this shape does not know, or reads as
    something else a base that is stored in MXFP4: its experts would be drawn at random (transformers 5.17.0 on a CPU).
    """
    if model.backend != "transformers":
        return
    kind = shape.model_type
    if kind in ONLY_EAGER and model.attention not in ("auto", "eager"):
        raise ValueError(
            f"model.attention is {model.attention!r}, which {kind} does not know: set model.attention=eager"
        )
    stored = (getattr(shape, "quantization_config", None) or {}).get("quant_method")
    expanded = model.quantization == "none" and model.dequantize_mxfp4
    if stored == "mxfp4" and model.quantization != "mxfp4" and not expanded:
        raise ValueError(
            f"model.quantization is {model.quantization!r}, and the base is stored in MXFP4: set model.quantization="
            "mxfp4 to keep its experts packed, or none with model.dequantize_mxfp4=true to expand them"
        )


def refuse_missing(names: Iterable[str], base: str) -> None:
    """Raises ValueError where a folder lacks weights of its model: transformers draws them at random and goes on."""
    if missing := sorted(names):
        raise ValueError(
            f"model.base: {base} has no {missing[0]} ({len(missing)} of its weights are missing); copy or fetch the "
            "folder again"
        )
