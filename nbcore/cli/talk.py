"""`python -m nbcore chat` and `serve`: talk to a model in the terminal, or hand it to a server on loopback."""

from __future__ import annotations

import io
import sys
import threading
from typing import Annotated, Any

import typer

from nbcore.cli.runs import Judged, Store, err, out
from nbcore.core import environment

HELP = "/check compiles the last answer in the jail · /reset forgets the conversation · /quit ends"
Whom = Annotated[
    str,
    typer.Argument(metavar="RUN_OR_FOLDER_OR_GGUF", help="A run, a folder with a model or an adapter, a .gguf file."),
]


def chat(
    whom: Whom,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of one answer at most.")] = 512,
    temperature: Annotated[float, typer.Option(min=0.0, max=5.0, help="0 is greedy.")] = 0.0,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    store: Store = None,
):
    """Talk to a model: answers stream, and stop where the model was taught to stop. /check compiles the last answer in
    the jail, /reset forgets the conversation, Ctrl-C stops an answer, Ctrl-D ends.

    Example: python -m nbcore chat export
    """
    from nbcore.training.export import talking

    talker = talking.of(whom, environment.store(store))
    begin = [{"role": "system", "content": system}] if system else []
    err.print(f"{talker.name}, through {talker.engine}; {HELP}")
    with talker.opened() as speaker:
        _converse(speaker, begin, tokens, temperature)


def _converse(speaker: Any, begin: list[dict], tokens: int, temperature: float) -> None:
    said, last = list(begin), ""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a pipe may bring bytes that are no text, and they end no chat
    while True:
        try:
            text = input("> " if sys.stdin.isatty() else "").strip()
            text = text.encode(errors="replace").decode()  # half a character from the terminal: no tokenizer takes it
        except EOFError:
            return
        except KeyboardInterrupt:
            err.print("\n(Ctrl-D or /quit ends)")
            continue
        if text == "/quit":
            return
        try:
            if text == "/reset":
                said, last = list(begin), ""
                err.print("forgotten")
            elif text == "/check":
                err.print(checked(last) if last else "there is no answer to check yet")
            elif text.startswith("/") and " " not in text:
                err.print(f"unknown command {text!r}; {HELP}")
            elif text:
                asked = [*said, {"role": "user", "content": text}]
                done = speaker.complete(asked, tokens, _show, temperature)
                out.print()
                if done["truncated"]:
                    err.print(f"(cut after {tokens} tokens; --tokens gives more)")
                last = done["text"]
                if last.strip():
                    said = [*asked, {"role": "assistant", "content": last}]
                else:
                    err.print("(an empty answer; the question is forgotten)")
        except KeyboardInterrupt:
            out.print()
            err.print("stopped" if text.startswith("/") else "stopped; the question is forgotten")
        except ValueError as error:  # a control token in what was typed, or a conversation that grew too long
            err.print(f"error: {' '.join(str(error).split())}")


def _show(piece: str) -> None:
    """Write a piece of an answer. What a model says is not trusted: control characters would steer the terminal."""
    out.print("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in piece), end="")
    out.file.flush()


def checked(answer: str) -> str:
    """What the compiler says of the Rust in an answer, in a line."""
    from nbcore.grading.grader import RustGrader

    verdict = RustGrader(jobs=1, tier="lint").grade([{"id": "answer", "completion": answer, "tests": ""}])[0]
    if verdict["verdict"] == "pass":
        warned = verdict["clippy_warnings"]
        return f"it compiles, with {warned} clippy warning{'s' if warned != 1 else ''}"
    first = next((str(error["message"]) for error in verdict["errors"]), "no error was told")
    return " ".join(f"{verdict['verdict'].replace('_', ' ')}: {first}".split())[:300]


def serve(
    whom: Whom,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    once: Annotated[bool, typer.Option("--once", help="Start, ask one question, and end.")] = False,
    store: Store = None,
):
    """Serve an exported model with an OpenAI-style API on 127.0.0.1, by the first of vLLM, llama.cpp and transformers
    that is here, and ask it one question.

    Example: python -m nbcore serve export --port 8080
    """
    from nbcore.training.export import llama_cpp, serving

    served = serving.of(whom, environment.store(store))
    try:
        with serving.running(served, port) as (name, address):
            answer = serving.smoke(address)
            out.print(f"{served.name} is served by {name}: {address}/v1 (OpenAI-style, this machine only)")
            err.print(f"asked once, it answered {len(answer)} characters")
            for other, command in serving.commands(served, port or 8080).items():
                if other != name and other != "xllamacpp":
                    err.print(f"by {other}: {' '.join(command)}")
            if not once:
                err.print("Ctrl-C ends it")
                threading.Event().wait()
    except KeyboardInterrupt:
        err.print("ended")
    except llama_cpp.Missing as error:
        raise Judged(str(error)) from None
