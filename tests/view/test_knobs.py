"""Knobs: every view derives from the schema, and nothing but a valid value gets through."""

import errno
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore import config as configs
from nbcore import view
from nbcore.config import knobs

PHASES = sorted(configs.PHASES)
LEAVES = [(phase, path) for phase in PHASES for path in knobs.leaves(configs.PHASES[phase]())]


def default(phase):
    return configs.PHASES[phase]()


def fields(panel):
    """Widgets of a panel by their path."""
    accordion = panel.children[1]
    found = {}
    for index, section in enumerate(accordion.children):
        name = accordion.get_title(index)
        for row in section.children:
            widget = row.children[0]
            prefix = "" if name in configs.PHASES else f"{name}."
            found[prefix + widget.description] = widget
    return found


def line(panel):
    return panel.children[0].children[1].value


def forget(panel):
    panel.children[0].children[0].click()


@pytest.mark.parametrize(
    "phase", [phase for phase in PHASES if phase not in ("data", "pretrain")]
)  # they have no base to name
def test_table_shows_every_leaf_and_escapes(phase):
    cfg = configs.load(default(phase), {"model.base": "<script>alert(1)</script>"})
    text, html = str(view.table(cfg)), view.table(cfg)._repr_html_()
    for path in knobs.leaves(cfg):
        assert path in text and path in html
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "* model.base" in text  # differs from the default


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(LEAVES), st.data())
def test_text_of_a_leaf_reads_back_to_the_same_config(leaf, data):
    phase, path = leaf
    cfg = default(phase)
    leaf = knobs.leaves(cfg)[path]
    if isinstance(leaf.value, bool):
        value = data.draw(st.booleans())
    elif isinstance(leaf.value, int | float):
        value = data.draw(st.one_of(st.integers(-3, 10**6), st.floats(allow_nan=False, allow_infinity=False)))
    elif isinstance(leaf.value, str) or leaf.value is None:
        value = data.draw(st.one_of(st.none(), st.text(), st.integers(-3, 10**6)))
    else:
        value = data.draw(st.lists(st.one_of(st.integers(-3, 9), st.text())))
    try:
        new = knobs.change(cfg, path, value)
    except ValueError as error:
        assert "\n" not in str(error).replace(str(value), "")
        return
    taken = knobs.leaves(new)[path]
    if isinstance(taken.value, str) and taken.value != taken.value.strip():
        return  # a text field strips; white space around a path or a name is never meant
    if isinstance(taken.value, bool) or taken.value == "":
        return  # check boxes have no text; an empty text is none
    assert knobs.change(new, path, knobs.from_text(taken, knobs.as_text(taken.value))) == new


@pytest.mark.parametrize("phase", PHASES)
def test_panel_has_a_widget_for_every_leaf_and_shows_its_value(phase):
    pytest.importorskip("ipywidgets")
    cfg = default(phase)
    shown = fields(view.panel(cfg, on_change=lambda _: None))
    assert set(shown) == set(knobs.leaves(cfg))
    for path, leaf in knobs.leaves(cfg).items():
        assert shown[path].value in (leaf.value, knobs.as_text(leaf.value))


def test_panel_takes_a_valid_value_and_shows_a_bad_one():
    taken = []
    panel = view.panel(default("sft"), on_change=taken.append)
    widgets = fields(panel)
    widgets["learning_rate"].value = "1e-3"
    assert taken[-1].learning_rate == 1e-3 and "learning_rate = 0.001" in line(panel)
    widgets["limit"].value = "5"
    widgets["limit"].value = ""
    assert taken[-1].limit is None and taken[-1].learning_rate == 1e-3
    calls = len(taken)
    for path, bad in {"max_steps": "-3", "batch_size": "many", "trainer": "[a", "warmup": "1.5"}.items():
        before = widgets[path].value
        widgets[path].value = bad
        assert path in line(panel) and "not taken" in line(panel), path
        assert widgets[path].value == before
    assert len(taken) == calls
    widgets["max_steps"].value = "<b>"
    assert "<b>" not in line(panel)


def test_remembered_overrides_survive_and_can_be_forgotten(tmp_path):
    file = tmp_path / "knobs" / "sft.yaml"
    cfg, taken = default("sft"), []
    fields(view.panel(cfg, taken.append, remember=file))["max_length"].value = "128"
    assert yaml.safe_load(file.read_text()) == {"max_length": 128}

    again = []
    panel = view.panel(cfg, again.append, remember=file)  # a new kernel
    assert again[0].max_length == 128 and "remembered" in line(panel) and "max_length = 128" in line(panel)
    assert fields(panel)["max_length"].value == "128"
    fields(panel)["max_length"].value = "256"  # back to the config's own
    assert yaml.safe_load(file.read_text()) == {}
    fields(panel)["limit"].value = "3"
    forget(panel)
    assert not file.exists() and again[-1] == cfg and fields(panel)["limit"].value == ""


@pytest.mark.parametrize(
    "content", ["lora.rank: [", "- 1\n- 2\n", "\x00", "lora.rank: -1\nlearning_rate: 0.001\n", "no.such: 1\n"]
)
def test_a_bad_remembered_file_is_reported_and_ignored(tmp_path, content):
    file = tmp_path / "sft.yaml"
    file.write_text(content)
    taken = []
    panel = view.panel(default("sft"), taken.append, remember=file)
    assert "ignored" in line(panel)
    assert [cfg.learning_rate for cfg in taken] == ([0.001] if "learning_rate" in content else [])


@pytest.mark.parametrize(
    ("typed", "taken"), [("010", 10), ("1_000", 1000), ("1:30", None), ("0o10", None), ("on", None)]
)
def test_a_number_typed_is_what_a_person_reads(typed, taken):
    """010 was taken for 8, and the field showed 8 as if that had been typed."""
    panel = view.panel(default("sft"), on_change=lambda _: None)
    fields(panel)["max_steps"].value = typed
    assert fields(panel)["max_steps"].value == str(taken or default("sft").max_steps)
    assert ("not taken" in line(panel)) == (taken is None)


def test_a_value_that_cannot_be_remembered_counts_and_says_so(tmp_path, monkeypatch):
    """On a full disk the panel showed the new value, and the run trained with the old one."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "knobs/sft.yaml")

    taken, file = [], tmp_path / "knobs" / "sft.yaml"
    panel = view.panel(default("sft"), taken.append, remember=file)
    with monkeypatch.context() as patch:
        patch.setattr("nbcore.view.remembered.os.fsync", full)
        fields(panel)["max_steps"].value = "20"
    assert taken[-1].max_steps == 20 and fields(panel)["max_steps"].value == "20"
    assert "max_steps = 20" in line(panel) and "could not be remembered" in line(panel) and "No space" in line(panel)
    assert list(file.parent.iterdir()) == [], "nothing half written"
    fields(panel)["limit"].value = "5"  # there is room again: both are kept
    assert yaml.safe_load(file.read_text()) == {"max_steps": 20, "limit": 5}


def test_a_folder_that_cannot_be_made_or_a_file_that_cannot_go_is_told(tmp_path, monkeypatch):
    """An error inside a widget's callback is shown to nobody."""
    (tmp_path / "knobs").write_text("a file where the folder should be")
    taken = []
    panel = view.panel(default("sft"), taken.append, remember=tmp_path / "knobs" / "sft.yaml")
    fields(panel)["max_steps"].value = "20"
    assert taken[-1].max_steps == 20 and "could not be remembered" in line(panel)
    forget(panel)
    assert taken[-1] == default("sft") and "could not be deleted" in line(panel)


@pytest.mark.parametrize(("content", "words"), [(b"seed: 1\nseed: 2\n", "lines 1 and 2"), (b"name: f\xfcr\n", "UTF-8")])
def test_a_remembered_file_that_says_two_things_or_none_is_ignored_aloud(tmp_path, content, words):
    """The last of two values won without a word."""
    (tmp_path / "sft.yaml").write_bytes(content)
    panel = view.panel(default("sft"), on_change=lambda _: None, remember=tmp_path / "sft.yaml")
    assert words in line(panel) and "ignored" in line(panel) and fields(panel)["seed"].value == "0"


def test_space_comes_from_the_schema():
    cfg = default("grpo")
    found = knobs.sweep_space(
        cfg, {"learning_rate": [1e-5, 1e-3], "group_size": [4, 8], "loss_type": {"choices": ["dapo", "gspo"]}}
    )
    assert found["learning_rate"][:4] == ("float", 1e-5, 1e-3, True)
    assert found["group_size"][:4] == ("int", 4, 8, False)
    assert found["loss_type"].choices == ("dapo", "gspo")
    for bad in (
        {"learning_rat": [1, 2]},
        {"group_size": [1, 8]},
        {"group_size": [8, 4]},
        {"loss_type": ["dapo", "gspo"]},
        {"loss_type": {"choices": ["none"]}},
        {"group_size": 4},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            knobs.sweep_space(cfg, bad)


@pytest.mark.parametrize("phase", PHASES)
def test_parameters_cell_is_python_and_names_real_fields(phase):
    values = {}
    exec(knobs.parameters_source(phase), values)
    assert values["config"] == f"configs/{phase}/tiny.yaml" and values["overrides"] == {}
    assert values["parent"] is None and values["store"] is None
    assert 3 <= len(configs.TABLE[phase].knobs) <= 5
    assert set(configs.TABLE[phase].knobs.values()) <= set(knobs.leaves(default(phase)))
    assert all(values[name] is None for name in configs.TABLE[phase].knobs)


def test_importing_knobs_needs_neither_torch_nor_widgets():
    code = "import sys, nbcore.view; assert not {'torch', 'ipywidgets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
