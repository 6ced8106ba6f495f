"""Base models of the Hub: pinned to a commit, fetched where there is room, explained where they cannot be had.

The client is huggingface_hub itself; the Hub is a small server of this machine that speaks its addresses.
"""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub import constants

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main
from nbcore.training import hub, load
from nbcore.training.export import merge

OLD, NEW = "a" * 40, "b" * 40
FILES = {path.name: path.read_bytes() for path in load.SEEDLING.iterdir() if path.is_file()}


class Hub(BaseHTTPRequestHandler):
    """The addresses that snapshot_download asks, for one public model, one that is gated, and none else."""

    head, asked, breaks, ill = OLD, [], [], None

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.ill == "cut":
            self.close_connection = True
            return self.connection.close()
        if self.ill == "a login page":
            return self.answer(200, b"<html>log in</html>")
        path = self.path.split("?")[0]
        self.asked.append((self.command, path, self.headers.get("Range")))
        parts = path.split("/")
        if self.headers.get("Authorization") == "Bearer hf_expired":
            return self.answer(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        if "gated" in path and not self.headers.get("Authorization"):
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if "small/model" not in path and "gated" not in path:
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if "api" in parts and "revision" in parts:
            if parts[-1] not in ("main", OLD, NEW):
                return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            sha = self.head if parts[-1] == "main" else parts[-1]
            return self.answer(200, json.dumps({"id": "small/model", "sha": sha}).encode())
        if "api" in parts and "tree" in parts:
            listed = [
                {"type": "file", "path": name, "size": len(data), "oid": oid(data)} for name, data in FILES.items()
            ]
            return self.answer(200, json.dumps(listed).encode())
        data = FILES[parts[-1]]
        about = {"ETag": f'"{oid(data)}"', "X-Repo-Commit": parts[parts.index("resolve") + 1], "Accept-Ranges": "bytes"}
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
        return self.answer(206 if start else 200, data[start:], about)

    def answer(self, code, data, headers=()):
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            if len(data) > 10**7 and self.breaks:  # a connection that is lost in the middle of the weights
                self.breaks.pop()
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                return
            self.wfile.write(data)

    def log_message(self, *_):
        pass


def oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    Hub.head, Hub.asked, Hub.breaks, Hub.ill = OLD, [], [], None
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{listening.server_port}"
    for name, value in {"HF_HUB_OFFLINE": False, "ENDPOINT": address, "HF_HUB_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    for name in ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    huggingface_hub.close_session()
    yield Hub
    listening.shutdown()
    huggingface_hub.close_session()


def opened(store, base="small/model", **changes):
    return runs.open(configs.load({"phase": "sft", "model": {"base": base}}, changes), store)


def test_a_chain_stands_on_the_commit_that_its_first_run_found(server, store, monkeypatch):
    """ "main" moves: a run that went on a week later, and its children, stood on other weights than their adapter."""
    run = opened(store)
    tokenizer = load.tokenizer(run)
    assert tokenizer.name_or_path == "small/model" and not any("safetensors" in path for _, path, _ in server.asked)
    server.head = NEW
    assert load.location(run).endswith(OLD) and load.fingerprint(run) == f"small/model@{OLD}"
    assert load.base_model(run).config.name_or_path == "small/model", "an adapter names its base by the id"
    later = runs.open(configs.load({"phase": "evaluate"}), store, run.finish({}))
    assert load.revision_of(later) == OLD and load.location(later).endswith(OLD)
    assert load.location(opened(store, **{"seed": 1})).endswith(NEW), "another chain takes what is there now"
    assert load.location(opened(store, **{"seed": 2, "model.revision": OLD})).endswith(OLD)
    server.asked.clear()
    assert load.location(later).endswith(OLD) and not server.asked, "a commit that is here needs no network"


def test_what_is_here_is_used_where_the_network_is_gone(server, store, monkeypatch, capsys):
    """A notebook without a network trained yesterday, and today it ended in a traceback about connections."""
    assert hub.folder("small/model").name == OLD
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub.folder("small/model").name == OLD
    assert "going on with commit" in capsys.readouterr().out
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.folder("small/model").name == OLD


def test_a_broken_download_goes_on_where_it_broke_off(server, monkeypatch):
    """The client keeps whole pieces of 10 MB."""
    monkeypatch.setitem(FILES, "large.safetensors", bytes(30 << 20))
    server.breaks = [True]
    assert (hub.folder("small/model") / "large.safetensors").read_bytes() == FILES["large.safetensors"]
    assert [span for _, path, span in server.asked if path.endswith("large.safetensors") and span] == [
        "bytes=10485760-"
    ]


def test_what_another_program_fetched_in_part_is_completed(server, monkeypatch):
    """Whoever had looked at the tokenizer alone, with transformers, could never train from that commit: the folder was
    taken for the model, and had no weights."""
    huggingface_hub.hf_hub_download("small/model", "config.json", revision=OLD)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"^model\.base: 'small/model' is not on this disk"):
        hub.folder("small/model", OLD)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert (hub.folder("small/model", OLD) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize(
    ("base", "changes", "told"),
    [
        ("some/gated", {}, r"model\.base: some/gated is gated: accept its terms at http.*/some/gated, then .*\.env"),
        ("some/private", {}, r"model\.base: 'some/private' is no folder here, and the Hub shows no such model"),
        ("small/model", {"model.revision": "v9"}, r"model\.revision: small/model has no 'v9'"),
        ("modles/my qwen", {}, r"model\.base: 'modles/my qwen' is no folder here, and no id of the Hub"),
    ],
)
def test_what_the_hub_refuses_is_one_line_that_names_the_field(server, store, base, changes, told):
    """transformers printed a page that ends in "Repo id must be in the form", or in a 403."""
    with pytest.raises(ValueError, match=f"^{told}") as error:
        load.tokenizer(opened(store, base, **changes))
    assert "\n" not in str(error.value)


def test_a_gated_model_is_had_with_a_token(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert hub.folder("some/gated").name == OLD


def test_a_token_that_the_hub_does_not_take_is_named(server, monkeypatch):
    """It refuses the most public model then, and "the Hub cannot be reached" sent people to look at their network."""
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(ValueError, match=r"^model\.base: the Hub does not take the HF_TOKEN .*settings/tokens") as told:
        hub.folder("small/model")
    assert "hf_expired" not in str(told.value)


@pytest.mark.parametrize("ill", ["cut", "a login page"])
def test_a_network_that_answers_wrongly_is_a_network_that_is_gone(server, ill, capsys):
    """A connection that was cut was a traceback, and the login page of a hotel "Expecting value: line 1 column 1";
    neither went on with the commit that was here."""
    server.ill = ill
    with pytest.raises(
        ValueError, match=r"^model\.base: 'small/model' is not on this disk, and the Hub cannot be"
    ) as told:
        hub.folder("small/model")
    assert ("login page" in str(told.value)) == (ill == "a login page")
    server.ill = None
    assert hub.folder("small/model").name == OLD
    server.ill = ill
    assert hub.folder("small/model").name == OLD and "going on with commit" in capsys.readouterr().out


@pytest.mark.parametrize("token", ["hf_aVery\u200bReal", "“hf_aVeryReal”"])
def test_a_token_that_cannot_be_sent_is_named_and_not_shown(server, monkeypatch, token):
    """.env is looked through as it is read; in Colab's secrets and the environment, "'ascii' codec can't encode" was
    all that was told."""
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=r"^model\.base: what HF_TOKEN holds cannot be sent") as told:
        hub.folder("some/gated")
    assert "Real" not in str(told.value)


def test_a_cache_that_cannot_be_written_is_no_network_that_is_gone(server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ValueError, match=r"^model\.base: .*cache cannot be written .*HF_HOME"):
        hub.folder("small/model")


def test_without_a_network_and_a_copy_it_says_what_to_do(server, monkeypatch, store, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"^model\.base: 'small/model' is not on this disk.*models list"):
        load.tokenizer(opened(store))
    with pytest.raises(ValueError, match=r"^model\.base: 'small/model'"):
        merge.local("small/model")
    rows = store / "rows.jsonl"
    rows.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n')
    assert main.main(["data", "check", str(rows), "--tokenizer", "small/model"]) == 2
    assert "small/model" in capsys.readouterr().err


def test_room_is_looked_for_before_the_first_byte(server, monkeypatch):
    """A disk that fills up at 14 of 15 GB has cost an hour, and everything else on it fails too."""
    monkeypatch.setattr(hub.disk, "free", lambda path: hub.SPARE + 1000)
    with pytest.raises(ValueError, match=r"^model\.base: small/model needs 1\.1 GB.*HF_HOME"):
        hub.folder("small/model")
    assert not any("resolve" in path and command == "GET" for command, path, _ in server.asked)
