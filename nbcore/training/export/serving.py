"""Hand an exported model to a server with an OpenAI-style API: vLLM, llama.cpp or transformers, whichever is there.

Whatever serves, it listens on loopback alone: who wants to offer a model to others puts a server of their own in front.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nbcore import runs
from nbcore.runs import layout
from nbcore.training.export import gguf, llama_cpp, talking

HOST = "127.0.0.1"
START = 600.0  # seconds that a server may take to load a model
QUESTION = [{"role": "user", "content": "Write a Rust function that adds two numbers."}]


class Served(NamedTuple):
    """What there is of an exported model to serve."""

    name: str
    folder: Path | None
    gguf: Path | None


def of(reference: str, store: Path) -> Served:
    """What a word means: a .gguf file, a folder with a whole model, or a run that exported one.

    Raises ValueError or FileNotFoundError where it is none, or an adapter that no server would find the base of.
    """
    path = Path(reference).expanduser()
    if path.suffix == ".gguf":
        gguf.metadata(path) if path.is_file() else _refuse(f"there is no file {path}")
        return Served(path.stem, None, path)
    if (path / "config.json").is_file() and not (path / layout.OPENING).is_file():
        return Served(path.name, path, None)
    run = runs.find(store, reference, field="RUN")
    folder = run.path / layout.MODEL
    if not folder.is_dir():
        _refuse(f"{run.id} holds no whole model; export it first: notebooks/08_export.ipynb, parent = {run.id!r}")
    files = [run.path / layout.GGUF / gguf.file_name(kind) for kind in talking.PREFERRED]
    return Served(run.id, folder, next((file for file in files if file.is_file()), None))


def _refuse(words: str) -> None:
    raise ValueError(f"RUN: {words}")


def commands(served: Served, port: int) -> dict[str, list[str]]:
    """Server -> the command that serves this model on loopback, the preferred first; those that it has no file for are
    left out, whether the server is installed or not."""
    known: dict[str, list[str]] = {}
    place = ["--host", HOST, "--port", str(port)]
    if served.folder:
        known["vllm"] = ["vllm", "serve", str(served.folder), *place]
    if served.gguf:
        child = [sys.executable, "-m", "nbcore.training.export.llama_server", str(served.gguf)]
        context = str(min(gguf.context_of(served.gguf), 8192))
        known["xllamacpp"] = [*child, context, str(port), str(torch.get_num_threads())]
        known["llama-server"] = ["llama-server", "-m", str(served.gguf), "--jinja", *place]
    if served.folder:
        known["transformers"] = ["transformers", "serve", str(served.folder), *place]
    return known


def available() -> dict[str, bool]:
    """Which servers this machine has."""
    there = importlib.util.find_spec
    return {
        "vllm": shutil.which("vllm") is not None and torch.cuda.is_available(),
        "xllamacpp": there("xllamacpp") is not None,
        "llama-server": shutil.which("llama-server") is not None,
        "transformers": all(there(name) for name in ("fastapi", "uvicorn"))
        and shutil.which("transformers") is not None,
    }


@contextmanager
def running(served: Served, port: int = 0) -> Iterator[tuple[str, str]]:
    """(server, address) for as long as the block lasts.

    Raises llama_cpp.Missing where no server is there for what the model has, ValueError where the server ends at once.
    """
    port = port or _free_port()
    known, there = commands(served, port), available()
    name = next((each for each in known if there[each]), None)
    if name is None:
        raise llama_cpp.Missing(
            f"no server for {served.name} on this machine; any of these brings one: {llama_cpp.GET_RUNNER} (with "
            "a GGUF file), pip install vllm (with a GPU), pip install 'transformers[serving]'"
        )
    child = subprocess.Popen(known[name], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://{HOST}:{port}"
        _wait(address, child, name)
        yield name, address
    finally:
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _wait(address: str, child: subprocess.Popen, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until:
        if child.poll() is not None:
            raise ValueError(f"serve: {name} ended with code {child.returncode} before it answered; is the port taken?")
        try:
            request(address, "/v1/models")
            return
        except (urllib.error.URLError, OSError, ValueError):
            sleep(0.2)
    raise ValueError(f"serve: {name} has not answered on {address} for {START:.0f} seconds")


def request(address: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of an endpoint on loopback."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = json.dumps(body).encode() if body else None
    with opener.open(
        urllib.request.Request(address + path, data, {"Content-Type": "application/json"}), timeout=300
    ) as answer:
        return json.load(answer)


def smoke(address: str, most: int = 48) -> str:
    """What the server answers to one question, through the API that clients will use. Raises ValueError where it does
    not answer as that API says."""
    model = request(address, "/v1/models")["data"][0]["id"]
    body = {"model": model, "messages": QUESTION, "max_tokens": most, "temperature": 0}
    try:
        return str(request(address, "/v1/chat/completions", body)["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError, urllib.error.HTTPError) as error:
        raise ValueError(f"serve: the smoke request failed: {error!r}") from None
