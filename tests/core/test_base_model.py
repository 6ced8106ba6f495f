"""A base model on this machine: "~" is written out, and a path that is wrong is told as a path."""

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.core.base_model import local_folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with one model in it, and an empty folder to work in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    model = tmp_path / "home" / "models" / "qwen-coder"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_a_folder_is_found_however_it_is_named(home, monkeypatch):
    """ "~/models/…" went to the Hub, which said that a repo id must be of another form."""
    model = home / "models" / "qwen-coder"
    assert local_folder("~/models/qwen-coder") == local_folder(str(model)) == local_folder(f"{model}/") == model
    monkeypatch.chdir(home)
    for name in ("models/qwen-coder", "./models/qwen-coder", "../home/models/qwen-coder"):
        assert local_folder(name).resolve() == model


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("~/models/qwen-codr", r"'.*/models' has no 'qwen-codr' \(did you mean 'qwen-coder'\?\)"),
        ("~/model/qwen-coder", r"has no 'model' \(did you mean 'models'\?\)"),
        ("/no/such/folder", "'/' has no 'no'"),
        ("./qwen", "'.' has no 'qwen'"),
        ("../qwen", r"'..' has no 'qwen'"),
        ("a/b/c", "'.' has no 'a'"),
        ("https://huggingface.co/Qwen/Qwen2.5", "OWNER/NAME"),
        ("~nobody-of-that-name/models", "no user '~nobody-of-that-name'"),
        ("~/models", "holds no model: it has no config.json"),
        ("~/models/qwen-coder/config.json", "is a file; name the folder"),
    ],
)
def test_a_path_that_is_wrong_is_told_as_a_path(home, tmp_path, base, said):
    """One line that names the field and what is there, before a run is opened."""
    for ask in (lambda: local_folder(base), lambda: runs.open(config(base), tmp_path / "store")):
        with pytest.raises(ValueError, match=rf"^model\.base: .*{said}") as error:
            ask()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "store").exists()


def config(base):
    return configs.load({"phase": "sft", "model": {"base": base}})


def test_a_missing_folder_in_a_folder_that_is_here_is_no_hub_id(home, monkeypatch):
    monkeypatch.chdir(home)
    with pytest.raises(ValueError, match="'models' has no 'qwen'"):
        local_folder("models/qwen")


def test_a_hub_id_is_left_to_the_hub(home):
    (home.parent / "here" / "seedling").mkdir()  # no model, and not what the word means
    for base in ("seedling", "run:pretrain/x", "Qwen/Qwen2.5-Coder-1.5B-Instruct", "gpt2", "openai/gpt-oss-20b"):
        assert local_folder(base) is None
