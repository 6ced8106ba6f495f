"""A conversation with a model, wherever it is: a run, a folder, an adapter on its base, or a GGUF file in llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nbcore import runs
from nbcore.chat import frame, template
from nbcore.core.records import Completion
from nbcore.runs import layout
from nbcore.training import load, split_experts
from nbcore.training.export import carried, deltas, gguf, llama_cpp, logits, merge
from nbcore.training.logits import finite

PREFERRED = ("q8_0", "f16", "bf16", "f32", "q4_k_m")  # which GGUF file of a run is talked to
Show = Callable[[str], None]


class Talker(NamedTuple):
    """Whom to talk to, before anything is loaded."""

    name: str
    engine: str
    """'llama.cpp' or 'transformers'."""
    opened: Callable[[], Any]
    """A context manager that gives the speaker."""


def of(reference: str, store: Path) -> Talker:
    """Whom a word means: a .gguf file, a folder with a model or an adapter, or a run of the store.

    Raises ValueError or FileNotFoundError where it is none of these.
    """
    path = Path(reference).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise FileNotFoundError(f"RUN: there is no file {path}")
        gguf.metadata(path)  # raises where it is cut short
        return Talker(path.name, "llama.cpp", lambda: _llama(path))
    if (path / layout.OPENING).is_file():
        return of_run(runs.find(store, reference, field="RUN"))
    if (path / deltas.CONFIG).is_file():
        named = deltas.config_of(path).get("base_model_name_or_path")
        if not named:
            raise ValueError(f"RUN: {path} is an adapter that names no base; merge it first: python -m nbcore merge")
        base = merge.local(named)
        return Talker(str(path), "transformers", lambda: _folder(base, path))
    if (path / "config.json").is_file():
        return Talker(str(path), "transformers", lambda: _folder(path, None))
    if path.is_file() or (path.is_dir() and path.is_absolute()):
        raise ValueError(f"RUN: {path} is no model: name a run, a .gguf file, or a folder with config.json in it")
    return of_run(runs.find(store, reference, field="RUN"))


def of_run(run: runs.Run) -> Talker:
    """Whom to talk to for a run: the GGUF file that it exported where llama.cpp can run it, else its model."""
    if path := gguf_of(run):
        return Talker(f"{run.id} ({path.name})", "llama.cpp", lambda: _llama(path))
    return _in_transformers(run)


def in_process(reference: str, store: Path) -> Talker:
    """Whom a word means, loaded into this process: for who needs the ids of tokens, which llama.cpp keeps to itself.

    Raises ValueError or FileNotFoundError as `of` does, and for a .gguf file.
    """
    path = Path(reference).expanduser()
    if path.suffix == ".gguf":
        raise ValueError(f"RUN: {path} is a .gguf file; name the run or the folder that it was made of")
    if (path / deltas.CONFIG).is_file() or (path / "config.json").is_file():
        return of(reference, store)
    return _in_transformers(runs.find(store, reference, field="RUN"))


def _in_transformers(run: runs.Run) -> Talker:
    if (run.path / layout.MODEL).is_dir():
        return Talker(run.id, "transformers", lambda: _folder(run.path / layout.MODEL, None, load.date_of(run)))
    return Talker(run.id, "transformers", lambda: _policy(run))


def gguf_of(run: runs.Run) -> Path | None:
    """The GGUF file of a run that llama.cpp would be asked for; None where it has none, or nothing here runs it."""
    try:
        llama_cpp.runner()
    except llama_cpp.Missing:
        return None
    files = [run.path / layout.GGUF / gguf.file_name(kind) for kind in PREFERRED]
    return next((path for path in files if path.is_file()), None)


@contextmanager
def _folder(folder: Path, adapter: Path | None, date: str | None = None) -> Iterator[InTransformers]:
    tokenizer = load.tokenizer_at(str(carried.tokenizer_source(folder, adapter)), date)
    compute = "bfloat16" if torch.cuda.is_available() else "float32"
    with split_experts.as_fused(adapter) as fused:
        model = logits.adapted(folder, fused, compute, False, "cuda" if torch.cuda.is_available() else "cpu")
    yield InTransformers(model, tokenizer, date)


@contextmanager
def _policy(run: runs.Run) -> Iterator[InTransformers]:
    yield InTransformers(load.policy(run, run).eval(), load.tokenizer(run), load.date_of(run))


@contextmanager
def _llama(path: Path) -> Iterator[InLlama]:
    with llama_cpp.serving(path, min(gguf.context_of(path), 8192)) as server:
        yield InLlama(server, gguf.stops_of(path), gguf.control_of(path))


class InTransformers:
    """A model in this process."""

    def __init__(self, model: Any, tokenizer: Any, date: str | None = None):
        """`date`: the day that its prompts name, as model.date of its run has it."""
        self.model, self.tokenizer, self.date = model, tokenizer, date
        self.stops = template.stop_ids(tokenizer, model.generation_config)

    def complete(
        self, messages: list[dict], most: int, show: Show = lambda piece: None, heat: float = 0.0
    ) -> Completion:
        """Answer a conversation in at most `most` tokens, telling `show` each piece as it comes; greedy at heat 0."""
        ids = torch.tensor([template.prompt_ids(self.tokenizer, messages)], device=self.model.device)
        watch = _Watch(ids.shape[1], self.answer, show)
        sampling = {"do_sample": True, "temperature": heat} if heat else {"do_sample": False, "temperature": None}
        with torch.inference_mode(), finite(self.model):
            self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=most,
                eos_token_id=self.stops,
                pad_token_id=self.tokenizer.pad_token_id,
                streamer=watch,
                top_p=None,
                top_k=None,
                **sampling,
            )
        read = template.read(self.tokenizer, watch.ids, self.stops)
        return Completion(**read._asdict())

    def answer(self, ids: list[int]) -> str:
        """What there is by now of the final answer."""
        return template.read(self.tokenizer, ids, self.stops).text


class _Watch:
    """What transformers gives each token to, prompt first."""

    def __init__(self, prompt: int, answer: Callable[[list[int]], str], show: Show):
        self.prompt, self.read, self.show, self.shown, self.ids = prompt, answer, show, "", []

    def put(self, value: torch.Tensor) -> None:
        tokens = value.flatten().tolist()
        if self.prompt:
            self.prompt = 0
            return
        self.add(tokens)

    def add(self, tokens: list[int]) -> None:
        """Take tokens, and show what they add to the answer once its characters are whole."""
        self.ids += tokens
        text = self.read(self.ids)
        if text.startswith(self.shown) and not text.endswith("\ufffd"):
            self.show(text[len(self.shown) :])
            self.shown = text

    def end(self) -> None:
        """Nothing is held back."""


class InLlama:
    """A GGUF file in llama.cpp. Its chat format is read off the file's own template, as frame.py does elsewhere."""

    def __init__(self, server: llama_cpp.Server, stops: set[int], control: set[int]):
        """`stops`: ids that the file names as an end; the one that its chat template writes is added. `control`: ids
        that no message may hold."""
        self.server, self.control = server, control
        asked = [{"role": "user", "content": frame.QUESTION}]
        prompt = self.rendered(asked)
        answered = [*asked, {"role": "assistant", "content": frame.ANSWER}, {"role": "user", "content": frame.QUESTION}]
        whole = self.rendered(answered)
        before, _, after = whole.partition(frame.ANSWER)
        self.opening = before.removeprefix(prompt) if before.startswith(prompt) else ""
        end = server.ask("/tokenize", content=after, add_special=False, parse_special=True)["tokens"][:1]
        self.stops = {*end, *stops}

    def rendered(self, messages: list[dict]) -> str:
        """The text that the file's chat template makes of a conversation, ready for an answer."""
        return self.server.ask("/apply-template", messages=messages)["prompt"]

    def complete(
        self, messages: list[dict], most: int, show: Show = lambda piece: None, heat: float = 0.0
    ) -> Completion:
        """Answer a conversation in at most `most` tokens, telling `show` each piece as it comes; greedy at heat 0."""
        self._refuse_control_tokens(messages)
        watch = _Watch(0, self.answer, show)
        settings = {"n_predict": most, "temperature": heat, "stream": True, "return_tokens": True}
        ended = False
        with self.server.stream("/completion", prompt=self.rendered(messages), **settings) as answer:
            for line in answer:
                text = line.decode("utf-8", "replace").strip()
                if not text.startswith("data: "):
                    continue
                chunk = json.loads(text.removeprefix("data: "))
                tokens = chunk.get("tokens", [])
                ended = bool(self.stops & set(tokens)) or chunk.get("stop_type") == "eos"
                watch.add([token for token in tokens if token not in self.stops])
                if ended or chunk.get("stop"):
                    break
        return Completion(text=self.answer(watch.ids), truncated=not ended, reasoning="")

    def _refuse_control_tokens(self, messages: list[dict]) -> None:
        for message in messages:
            ids = self.server.ask("/tokenize", content=message["content"], add_special=False, parse_special=True)[
                "tokens"
            ]
            if self.control & set(ids):
                raise template.ForgedToken(f"messages: content of the {message['role']} holds a control token")

    def answer(self, ids: list[int]) -> str:
        """What there is by now of the answer, without the header that the format opens it with."""
        text = self.server.ask("/detokenize", tokens=ids)["content"] if ids else ""
        return "" if self.opening.startswith(text) else text.removeprefix(self.opening)
