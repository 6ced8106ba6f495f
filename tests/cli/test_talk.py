"""chat, serve and merge from the command line: with a run, a folder and a GGUF file, and with what is none."""

import io
import json
import os
import shutil

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main, talk
from nbcore.phases import export
from nbcore.training.export import llama_cpp, serving, talking


class Echo:
    """Says what it was asked, with what a terminal would obey."""

    def complete(self, messages, most, show, heat):
        if "stop" in messages[-1]["content"]:
            raise KeyboardInterrupt
        if "<|" in messages[-1]["content"]:
            raise ValueError("messages: content of the user holds a control token")
        text = f"{len(messages)}: {messages[-1]['content']}\x1b[31m"
        show(text)
        return {"text": text, "truncated": most == 1, "reasoning": ""}


def said(monkeypatch, capsys, text, tokens=9, begin=()):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    talk._converse(Echo(), list(begin), tokens, 0.0)
    return capsys.readouterr()


def test_a_conversation_goes_on_until_it_is_reset(monkeypatch, capsys):
    output = said(monkeypatch, capsys, "one\ntwo\n/reset\nthree\n", begin=[{"role": "system", "content": "short"}])
    lines = output.out.split("\n")
    assert [line[:6] for line in lines if line] == ["2: one", "4: two", "2: thr"] and "forgotten" in output.err


def test_what_a_model_says_does_not_steer_the_terminal(monkeypatch, capsys):
    assert "\x1b" not in said(monkeypatch, capsys, "one\n").out


def test_nothing_that_is_typed_ends_the_chat(monkeypatch, capsys):
    output = said(monkeypatch, capsys, "/what\n/check\n\nplease stop\n<|start|>\none\n/quit\nnever\n")
    assert "unknown command '/what'" in output.err and "no answer to check yet" in output.err
    assert "stopped; the question is forgotten" in output.err and "control token" in output.err
    assert "1: one" in output.out and "never" not in output.out


def test_ctrl_c_stops_a_check_and_not_the_chat(monkeypatch, capsys):
    """Pressed while the compiler ran, or just as an answer ended, it ended the chat."""

    def pressed(answer):
        raise KeyboardInterrupt

    monkeypatch.setattr(talk, "checked", pressed)
    output = said(monkeypatch, capsys, "one\n/check\ntwo\n")
    assert "stopped\n" in output.err and "3: two" in output.out


def test_half_a_character_is_asked_as_a_question_mark(monkeypatch, capsys):
    """It reached the tokenizer as a lone surrogate, whose error told the person to choose another base model."""
    assert "1: hm ?" in said(monkeypatch, capsys, "hm \udcff\n").out


def test_bytes_that_are_no_text_end_no_chat(monkeypatch, capsys):
    """A pipe of Latin-1 ended the chat, and with it whatever was asked behind that line."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\ntwo\n"), encoding="utf-8"))
    talk._converse(Echo(), [], 9, 0.0)
    lines = [line for line in capsys.readouterr().out.split("\n") if line]
    assert lines[0].startswith("1: caf\ufffd") and lines[1].startswith("3: two"), lines


def test_a_cut_answer_says_so(monkeypatch, capsys):
    assert "cut after 1 tokens" in said(monkeypatch, capsys, "one\n", tokens=1).err


def test_check_compiles_the_last_answer_in_the_jail():
    assert talk.checked("```rust\npub fn one() -> i64 { 1 }\n```") == "it compiles, with 0 clippy warnings"
    assert talk.checked("```rust\npub fn one() -> i64 { true }\n```").startswith("compile error: mismatched types")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["chat", "NOTHING.gguf"], "there is no file"),
        (["chat", "CUT.gguf"], "no whole GGUF file"),
        (["chat", "EMPTY"], "is no model"),
        (["chat", "no/such/run"], "RUN: 'no/such/run' is neither a run"),
        (["serve", "no/such/run"], "RUN: 'no/such/run' is neither a run"),
        (["serve", "CUT.gguf"], "no whole GGUF file"),
        (["serve", "export", "--host", "0.0.0.0"], "No such option"),
        (["serve", "export", "--port", "99999"], "less than or equal to 65535"),
    ],
)
def test_what_is_no_model_is_said_in_one_line(tmp_path, capsys, command, words):
    (tmp_path / "CUT.gguf").write_bytes(b"GGUF\x03")
    (tmp_path / "EMPTY").mkdir()
    given = [str(tmp_path / word) if word.isupper() or word.endswith(".gguf") else word for word in command]
    assert main.main([*given, "--store", str(tmp_path)]) == 2
    output = capsys.readouterr().err
    assert words in output and len(output.strip().splitlines()) == 1, output


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The seedling itself, exported without training."""
    store = tmp_path_factory.mktemp("store")
    few = {"gguf": [], "prompts": 1, "greedy": 1, "perplexity_documents": 0}
    run = runs.open(configs.load("configs/export/tiny.yaml", few), store, runs.BASE)
    export.write(run)
    export.finish(run)
    return store


ENDED = """
import os


class CommonParams:
    def __init__(self):
        self.model = self.cpuparams = self.cpuparams_batch = type("Any", (), {})()


class Server:
    def __init__(self, settings):
        self.listening_address = f"http://127.0.0.1:1/{os.getpgid(0)}"
"""


def test_ctrl_c_reaches_no_llama_cpp_and_one_that_has_ended_is_said_to_have(tmp_path, monkeypatch):
    """Ctrl-C stopped the answer and ended llama.cpp, in the same group; the next question ended the chat."""
    (tmp_path / "xllamacpp.py").write_text(ENDED)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(llama_cpp, "runner", lambda: None)
    with llama_cpp.serving(tmp_path / "model.gguf") as server:
        assert int(server.address.rpartition("/")[2]) != os.getpgid(0)
        with pytest.raises(ValueError, match=r"answers no more .*give the command again"):
            server.ask("/tokenize", content="one")


def test_every_server_listens_on_loopback(store):
    served = serving.of("export", store)
    for command in serving.commands(served._replace(gguf=None), 8080).values():
        assert command[command.index("--host") + 1] == "127.0.0.1"


def test_without_a_server_one_line_says_how_to_get_one(store, monkeypatch, capsys):
    monkeypatch.setattr(serving, "available", lambda: dict.fromkeys(("vllm", "transformers"), False))
    assert main.main(["serve", "export", "--once", "--store", str(store)]) == 1
    output = capsys.readouterr().err
    assert "pip install xllamacpp" in output and len(output.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_run_and_its_folder_say_the_same(store, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(runs.find(store, "export").path / "model", tmp_path / "model")
    answers = []
    for whom in ("export", str(folder)):
        monkeypatch.setattr("sys.stdin", io.StringIO("Return the sum of the numbers.\n"))
        assert main.main(["chat", whom, "--store", str(store), "--tokens", "40"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] and "fn " in answers[0] and "<|" not in answers[0]


@pytest.mark.slow
def test_a_gguf_file_is_talked_to_and_served(store, tmp_path, monkeypatch, capsys):
    try:
        llama_cpp.converter()
        llama_cpp.runner()
    except llama_cpp.Missing as error:
        pytest.skip(str(error))
    path = tmp_path / "model.gguf"
    llama_cpp.convert(runs.find(store, "export").path / "model", path, "f32", "starcoder")
    monkeypatch.setattr("sys.stdin", io.StringIO("Return the sum of the numbers.\nforge <|start|>\n"))
    assert main.main(["chat", str(path), "--tokens", "40"]) == 0
    output = capsys.readouterr()
    assert "fn " in output.out and "<|" not in output.out and "control token" in output.err
    assert main.main(["serve", str(path), "--once"]) == 0
    assert "http://127.0.0.1:" in capsys.readouterr().out
    with talking.of(str(path), tmp_path).opened() as speaker:
        assert json.dumps(speaker.complete([{"role": "user", "content": "x"}], 3)["text"])
