"""push: what would leave is shown, what must not leave is refused, and a signature is verified by common tools."""

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main
from nbcore.phases import export
from nbcore.report import licensing, publishing
from nbcore.training.export import folder
from tests.training import small_adapters as small

TOKEN = "hf_" + "a1B2" * 8


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with an exported seedling, and a folder that `merge` made."""
    place = tmp_path_factory.mktemp("place")
    few = {"gguf": [], "prompts": 1, "greedy": 1, "perplexity_documents": 0}
    run = runs.open(configs.load("configs/export/tiny.yaml", few), place / "store", runs.BASE)
    export.write(run)
    export.finish(run)
    base = small.base(place / "base", "qwen3")
    (base / "README.md").write_text("---\nlicense: gemma\n---\n")
    adapter = small.adapter(place / "adapter", base)
    folder.merged(adapter, str(base), place / "merged", prompts=1)
    return place


def push(place, capsys, *words, store=True):
    code = main.main(["push", *words, *(["--store", str(place / "store")] if store else [])])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_dry_run_shows_files_licence_and_card_and_sends_nothing(place, capsys, monkeypatch):
    monkeypatch.setattr(publishing, "send", None)  # calling it would be an error
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, out, _ = push(place, capsys, "export", "me/model")
    assert code == 0 and "dry run: nothing was sent" in out and "(private where it is new)" in out
    for words in (
        "MB  model.safetensors",
        "parity.json",
        "SHA256SUMS",
        "licence: Apache-2.0",
        "# export/",
        "## Licence",
    ):
        assert words in out, words
    assert TOKEN not in out and str(place) not in out, "neither a secret nor a path of this machine"


def test_a_merged_folder_leaves_with_the_duty_of_its_base(place, capsys):
    """Gemma's terms are asked for by whoever passes the model on; who brought an adapter may not know them."""
    code, out, _ = push(place, capsys, str(place / "merged"), "me/model")
    assert code == 0 and "duty: base is under gemma: pass on Gemma's terms" in out and "license: gemma" in out
    assert "unknown: what the adapter was trained on: no run says" in out and str(place) not in out


def test_a_changed_folder_does_not_leave(place, tmp_path, capsys):
    """The proof is about the bytes that were proved."""
    changed = shutil.copytree(place / "merged", tmp_path / "merged")
    (changed / "chat_template.jinja").write_text("{{ 1 }}")
    code, _, err = push(place, capsys, str(changed), "me/model")
    assert code == 2 and "chat_template.jinja" in err and "not what was proved" in err
    shutil.copy(place / "merged" / "chat_template.jinja", changed)
    (changed / "extra.txt").write_text("more")
    assert "extra.txt" in push(place, capsys, str(changed), "me/model")[2]


def test_the_model_folder_of_a_run_leaves_as_the_run(place, capsys):
    """It was refused as changed since its proof, which it was not, with a command that does not mend it."""
    run = next((place / "store" / "export").iterdir())
    code, _, err = push(place, capsys, str(run / "model"), "me/model")
    assert code == 2 and f"name the run, {run}" in err and "proved" not in err


def test_what_was_not_proved_does_not_leave(place, tmp_path, capsys):
    failed = shutil.copytree(place / "merged", tmp_path / "failed")
    proof = json.loads((failed / "parity.json").read_text())
    (failed / "parity.json").write_text(json.dumps(proof | {"ok": False, "problems": ["q_proj: was lost"]}))
    code, _, err = push(place, capsys, str(failed), "me/model")
    assert code == 2 and "the proof of failed failed" in err and "q_proj: was lost" in err
    (failed / "parity.json").unlink()
    assert "nothing proves" in push(place, capsys, str(failed), "me/model")[2]


def test_what_is_not_committed_does_not_leave(place, tmp_path, capsys):
    """An export that was killed before its last step has a model and no run.json."""
    store = shutil.copytree(place / "store", tmp_path / "store")
    run = next((store / "export").iterdir())
    (run / "run.json").unlink()
    assert push(tmp_path, capsys, "export", "me/model")[0] == 2
    code, _, err = push(tmp_path, capsys, str(run), "me/model")
    assert code == 2 and len(err.strip().splitlines()) == 1


def test_a_damaged_export_does_not_leave(place, tmp_path, capsys):
    store = shutil.copytree(place / "store", tmp_path / "store")
    weights = next((store / "export").iterdir()) / "model" / "model.safetensors"
    held = bytearray(weights.read_bytes())
    held[-5] ^= 1
    weights.write_bytes(held)
    code, _, err = push(tmp_path, capsys, "export", "me/model")
    assert code == 2 and "model.safetensors" in err


def test_a_conflict_needs_a_reason_which_the_card_says(place, capsys, monkeypatch):
    parts = [licensing.Part("my crates", "GPL-3.0-only", "recorded")]
    judged = licensing.judged(licensing.of_base("seedling"), parts)
    monkeypatch.setattr(licensing, "of_run", lambda run: judged)
    code, out, err = push(place, capsys, "export", "me/model", "--yes")
    assert code == 1 and "licences conflict: my crates is under GPL-3.0-only" in err and "conflict:" in out
    code, out, _ = push(place, capsys, "export", "me/model", "--anyway", "the authors agreed in writing")
    assert code == 0 and "the authors agreed in writing" in out
    assert "--anyway: it is empty" in push(place, capsys, "export", "me/model", "--anyway", " ")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "model"], "REPO_ID: 'model'"),
        (["export", "../me/model"], "REPO_ID: "),
        (["export", "me/model", "--sign", "no/such/key"], "sign: there is no key"),
        (["nothing", "me/model"], "RUN: 'nothing'"),
    ],
)
def test_a_mistake_is_one_line(place, capsys, words, said):
    code, _, err = push(place, capsys, *words)
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1


def test_yes_without_a_token_says_where_it_belongs(place, capsys, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    code, _, err = push(place, capsys, "export", "me/model", "--yes")
    assert code == 2 and "no HF_TOKEN in the environment" in err


def test_a_secret_in_a_file_does_not_leave(place, tmp_path):
    leaving = publishing.of("export", place / "store")
    (tmp_path / "notes.txt").write_text(f"token {TOKEN}")
    with pytest.raises(ValueError, match=r"notes\.txt holds what looks like a secret") as caught:
        publishing.staged(leaving._replace(files={"notes.txt": tmp_path / "notes.txt"}), tmp_path)
    assert TOKEN not in str(caught.value)


def test_an_adapter_names_its_base_without_a_path_of_this_machine(place, tmp_path):
    """Its config left as it was, with the folder of the base on the disk of whoever sent it."""
    files = {name: place / "adapter" / name for name in ("adapter_config.json", "adapter_model.safetensors")}
    assert str(place) in files["adapter_config.json"].read_text()
    staged = publishing.staged(publishing.of(str(place / "merged"), place)._replace(files=files), tmp_path)
    told = json.loads(staged["adapter_config.json"].read_text())
    assert told["base_model_name_or_path"] == "base" and told["r"] == 4
    assert all(str(place) not in path.read_text() for name, path in staged.items() if name.endswith((".json", ".md")))


def test_sums_and_signature_are_verified_by_common_tools(place, tmp_path):
    """The command that push prints, given to a shell: true for what was signed, false for a changed byte."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen on this machine")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "staged").mkdir()
    files = publishing.staged(publishing.of("export", place / "store"), tmp_path / "staged", key)
    there = tmp_path / "there"
    for name, path in files.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there / name)
    (there / "signers").write_text("me@here " + (tmp_path / "key.pub").read_text())
    command = publishing.verify_command().replace("ALLOWED_SIGNERS", "signers").replace("NAME", "me@here")

    def verified():
        return subprocess.run(["bash", "-c", command], cwd=there, capture_output=True, timeout=600).returncode == 0

    assert verified()
    with (there / "config.json").open("a") as file:
        file.write(" ")
    assert not verified()
    shutil.copy(files["config.json"], there / "config.json")
    with (there / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  more\n")
    assert not verified()


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks of the Hub for one commit of small files."""

    asked = ()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((self.path, body, self.headers.get("Authorization")))
        if self.path == "/api/repos/create":
            answer = {"url": "https://huggingface.co/me/model", "name": "me/model"}
        elif "/preupload/" in self.path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            answer = {"files": files}
        else:
            answer = {"commitUrl": "https://huggingface.co/me/model/commit/0123", "commitOid": "0123", "success": True}
        status = 403 if self.headers.get("Authorization") != f"Bearer {TOKEN}" else 200
        told = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing is printed."""


def test_yes_sends_one_private_commit_of_all_files(place, tmp_path, monkeypatch):
    """Through huggingface_hub itself, to a server that answers as the Hub does."""
    from huggingface_hub import constants

    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", address)
    leaving = publishing.of("export", place / "store")
    small_files = {name: path for name, path in leaving.files.items() if path.stat().st_size < 100_000}
    try:
        files = publishing.staged(leaving._replace(files=small_files), tmp_path)
        assert publishing.send(files, "me/model", TOKEN, public=False).endswith("/commit/0123")
        created = json.loads(Hub.asked[0][1])
        assert Hub.asked[0][0] == "/api/repos/create" and created["visibility"] == "private"
        sent = [json.loads(line) for line in Hub.asked[-1][1].splitlines()]
        assert sorted(each["value"]["path"] for each in sent if each["key"] == "file") == sorted(files)
        with pytest.raises(ValueError, match="push: the Hub refused") as caught:
            publishing.send(files, "me/model", "hf_" + "x" * 30, public=False)
        assert "hf_xxx" not in str(caught.value)
    finally:
        server.shutdown()
