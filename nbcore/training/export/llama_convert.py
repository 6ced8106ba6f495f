"""Runs llama.cpp's own converter script in this process: `python -m … FOLDER SCRIPT PRE ARGUMENTS`.

The converter knows a tokenizer by a hash of what it makes of one text, and refuses one that a person trained. PRE names
the pre-tokenizer for it ("-": let it look); whether that is the right one is then tried on the finished file.
"""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
import types


def main(folder: str, script: str, pre: str, *arguments: str) -> None:
    """Run the script as if it had been called from the command line."""
    sys.path[0:0] = [folder, f"{folder}/gguf-py"]
    if importlib.util.find_spec("sentencepiece") is None:
        # It is imported whatever the tokenizer is; only one with a tokenizer.model needs it in earnest.
        stand_in = types.ModuleType("sentencepiece")
        stand_in.SentencePieceProcessor = stand_in.sentencepiece_model_pb2 = None
        sys.modules["sentencepiece"] = stand_in
    if pre != "-":
        try:
            base = importlib.import_module("conversion.base")
        except ModuleNotFoundError:  # older ones are a single file
            base = importlib.import_module("convert_hf_to_gguf")
        base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    sys.argv = [script, *arguments]
    runpy.run_path(f"{folder}/{script}", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
