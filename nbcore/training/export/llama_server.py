"""Serves one GGUF file with llama.cpp on loopback: `python -m … MODEL CONTEXT PORT THREADS REMEMBERS [LORA]`.

A process of its own, because llama.cpp ends its process at a file that it does not like. It prints its address and ends
with its parent, whose end closes standard input.
"""

from __future__ import annotations

import sys

import xllamacpp


def main(model: str, context: str, port: str, threads: str, remembers: str, lora: str | None = None) -> None:
    """Load the file, print the address, and serve until standard input is closed. `remembers`: f16, or f32 to compute
    all of attention in float32."""
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.n_ctx, settings.n_parallel, settings.n_gpu_layers = int(context), 1, 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = int(threads)
    if remembers == "f32":
        settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if lora:
        beside = xllamacpp.CommonAdapterLoraInfo()
        beside.path, beside.scale = lora, 1.0
        settings.lora_adapters = [beside]
    settings.warmup = False
    settings.verbosity = 1
    settings.hostnames = ["127.0.0.1"]
    settings.port = int(port)
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
