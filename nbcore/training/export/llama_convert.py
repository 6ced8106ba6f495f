"""Runs llama.cpp's own converter script in this process: `python -m … FOLDER SCRIPT PRE ARGUMENTS`.

The converter knows a tokenizer by a hash of what it makes of one text, and refuses one that a person trained. PRE names
the pre-tokenizer for it ("-": let it look); whether that is the right one is then tried on the finished file. Of a
tokenizer with a fallback to bytes it believes that it is SentencePiece's; where it works on bytes anyway, as that of a
SmolLM2 that was read back from a GGUF file, llama.cpp could not tokenise one text with what it wrote.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import runpy
import sys
import types
from pathlib import Path
from typing import Any


def byte_level(path: Path) -> bool:
    """Whether a tokenizer.json splits text into bytes before it looks for words."""
    if not path.is_file():
        return False
    splits = json.loads(path.read_text("utf-8")).get("pre_tokenizer") or {}
    return any(part.get("type") == "ByteLevel" for part in (splits, *splits.get("pretokenizers", ())))


def main(folder: str, script: str, pre: str, *arguments: str) -> None:
    """Run the script as if it had been called from the command line."""
    sys.path[0:0] = [folder, f"{folder}/gguf-py"]
    if importlib.util.find_spec("sentencepiece") is None:
        # It is imported whatever the tokenizer is; only one with a tokenizer.model needs it in earnest.
        stand_in = types.ModuleType("sentencepiece")
        stand_in.SentencePieceProcessor = stand_in.sentencepiece_model_pb2 = None
        sys.modules["sentencepiece"] = stand_in
    try:
        base = importlib.import_module("conversion.base")
    except ModuleNotFoundError:  # older ones are a single file
        base = importlib.import_module("convert_hf_to_gguf")
    if pre != "-":
        base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    as_sentencepiece = base.TextModel._set_vocab_llama_hf

    def set_vocab(model: Any) -> None:
        if byte_level(model.dir_model / "tokenizer.json"):
            raise FileNotFoundError("a tokenizer on bytes")  # then the converter writes it as one
        as_sentencepiece(model)

    base.TextModel._set_vocab_llama_hf = set_vocab
    sys.argv = [script, *arguments]
    runpy.run_path(f"{folder}/{script}", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
