"""Configs: one error for one mistake, and a dump that reproduces the run."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nbcore import config as configs

SHIPPED = [path for path in sorted(Path("configs").glob("*/*.yaml")) if path.parent.name in configs.PHASES]


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_shipped_configs_load_and_say_how_to_launch_them(path):
    """A shipped YAML that no longer validates would fail in front of the user, not here."""
    config = configs.load(path)
    assert config.phase == path.parent.name
    assert path.read_text().startswith("# papermill ") and str(path) in path.read_text().splitlines()[0]


@pytest.mark.parametrize("phase", configs.PHASES)
def test_dump_and_load_are_inverse(phase):
    """run/config.yaml must reproduce the run: a field lost on the way would change it silently."""
    config = configs.load({"phase": phase})
    again = configs.load(yaml.safe_load(configs.dump(config)))
    assert again == config and configs.digest(again) == configs.digest(config)


@pytest.mark.parametrize(
    ("values", "overrides", "words"),
    [
        ({"phase": "sft", "maxsteps": 2}, {}, ["'maxsteps'", "max_steps"]),
        ({"phase": "lang_adapter", "lora": {"rnk": 4}}, {}, ["'lora.rnk'", "rank"]),
        ({"phase": "sft"}, {"lora.rank": 0}, ["'lora.rank'", "0", "greater"]),
        ({"phase": "ipo"}, {"generation.temperature": 0}, ["generation", "temperature 0", "raise"]),
        ({"phase": "pretrain"}, {"stages": [[512, 2]]}, ["512", "corpus.max_tokens 192"]),
        ({"phase": "pretrain"}, {"model.quantization": "nf4"}, ["model", "dtype"]),
        ({"phase": "sft"}, {"learning_rate": "fast"}, ["'learning_rate'", "'fast'", "number"]),
        ({"phase": "sft", "batch_size": True}, {}, ["'batch_size'", "True", "boolean"]),
        ({"phase": "nope"}, {}, ["'nope'", "sft"]),
        ({"phase": "evaluate", "k": [1, 5]}, {}, ["pass@5", "samples"]),
        ({"phase": "grpo", "batch_size": 12}, {}, ["12", "group_size 8"]),
        ({"phase": "sft"}, ["max_steps"], ["'max_steps'", "max_steps=2"]),
        ({"phase": "sft"}, {"max_steps.x": 2}, ["max_steps"]),
        ({"phase": "sft"}, ["lora.rank=[1"], ["'lora.rank=[1'", "not YAML"]),
        ({"phase": "sft"}, 5, ["5", "int", "mapping"]),
        ({"phase": "lang_adapter"}, {"lora": {"dropout": 0.1, "target_parameters": ["a"]}}, ["dropout is 0.1"]),
        ({"phase": "sft"}, {"rows": "x" * 5000}, ["'rows' is 'xxx", "too long for the name of a file", "255 bytes"]),
        ({"phase": "sft"}, {"model.base": "é" * 200}, ["'model.base' is 'éé", "too long"]),
        ({"phase": "grpo"}, {"tasks.source": "a/" * 3000}, ["'tasks.source' is 'a/a/", "too long"]),
        ({"phase": "lang_adapter"}, {"corpus.sources": {"y" * 300: 1}}, ["'corpus.sources' is {'yyy", "too long"]),
        ({"phase": "data"}, {"sources": [{"name": "y" * 300}]}, ["'sources.0.name' is 'yyy", "too long"]),
    ],
)
def test_every_mistake_is_one_line_with_field_value_and_remedy(values, overrides, words):
    """A silent typo trains the wrong thing for hours."""
    with pytest.raises(ValueError) as caught:
        configs.load(values, overrides)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words) and len(message) < 600, message


def test_yaml_floats_without_a_dot_are_numbers():
    """YAML 1.1 reads 1e-4 as text; a learning rate must survive that."""
    assert configs.load(yaml.safe_load("{phase: sft, learning_rate: 1e-4}")).learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "steps"),
    [("010", 10), ("1_000", 1000), ("1:30", None), ("0o10", None), ("on", None), ("yes", None), ("1,000", None)],
)
def test_a_number_is_what_a_person_reads_wherever_it_is_typed(tmp_path, text, steps):
    """`--set max_steps=010` and the same line in the YAML trained for 8 steps."""
    path = tmp_path / "sft.yaml"
    path.write_text(f"phase: sft\nmax_steps: {text}\n")
    for read in (lambda: configs.load(path), lambda: configs.load({"phase": "sft"}, [f"max_steps={text}"])):
        if steps is not None:
            assert read().max_steps == steps
        else:
            with pytest.raises(ValueError, match="max_steps"):
                read()


@pytest.mark.parametrize(
    ("phase", "field", "value"),
    [
        ("evaluate", "k", [True]),
        ("lang_adapter", "corpus.sources", {"katas": True}),
        ("pretrain", "stages", [[8, True]]),
    ],
)
def test_a_boolean_inside_a_list_is_no_number(phase, field, value):
    """Python counts True as 1: `k: [yes]` was pass@1."""
    with pytest.raises(ValueError, match=f"'{field}' .*YAML boolean"):
        configs.load({"phase": phase}, {field: value})


def test_a_name_that_reads_as_a_number_survives_in_the_run(tmp_path):
    """config.yaml must reproduce the run: unquoted, 1e4 would come back as ten thousand."""
    for name in ("1e4", "010", "2024-01-01", "1_0", "no"):
        config = configs.load({"phase": "sft", "name": name})
        (tmp_path / "config.yaml").write_text(configs.dump(config))
        assert configs.load(tmp_path / "config.yaml") == config


def test_a_value_given_twice_is_an_error_that_names_both(tmp_path):
    """The last one won, whichever a person had in mind."""
    path = tmp_path / "sft.yaml"
    path.write_text("phase: sft\nmax_steps: 1\nrows: katas\nmax_steps: 2\n")
    with pytest.raises(ValueError, match=r"sft\.yaml: key 'max_steps' stands twice, on lines 2 and 4"):
        configs.load(path)
    with pytest.raises(ValueError, match=r"overrides: 'lora\.rank' is given twice, as 4 and 8"):
        configs.load({"phase": "sft"}, {"lora": {"rank": 4}, "lora.rank": 8})
    assert configs.load({"phase": "sft"}, ["max_steps=1", "max_steps=2"]).max_steps == 2  # as on any command line


def test_none_in_a_knob_means_as_in_the_yaml():
    """The notebooks' parameters default to None: they must not overwrite the YAML."""
    assert configs.load("configs/sft/tiny.yaml", knobs={"max_steps": None}) == configs.load("configs/sft/tiny.yaml")


def test_open_mappings_are_replaced_whole():
    """corpus.sources has the user's own keys, file names with dots among them."""
    config = configs.load({"phase": "pretrain"}, {"corpus": {"sources": {"a.b.jsonl": 3}}})
    assert config.corpus.sources == {"a.b.jsonl": 3}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_config_in_another_encoding_is_one_line(tmp_path, encoding):
    """Saved on Windows, it ended in a UnicodeDecodeError that named no file."""
    path = tmp_path / "sft.yaml"
    path.write_bytes("# für mich\nphase: sft\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"^{path}: not UTF-8 \(byte 0x.. at \d+\); save the file as UTF-8$"):
        configs.load(path)


def test_a_missing_file_is_named(tmp_path):
    """'No such file' alone does not say what to do."""
    with pytest.raises(FileNotFoundError, match=r"gone\.yaml.*configs/"):
        configs.load(tmp_path / "gone.yaml")


@given(st.integers(1, 10**6), st.floats(1e-9, 10), st.integers(1, 512))
def test_overrides_change_what_they_name_and_nothing_else(steps, rate, rank):
    """Dotted, nested and textual overrides must agree, and leave every other leaf alone."""
    base = configs.load({"phase": "lang_adapter"})
    dotted = configs.load(base, {"max_steps": steps, "learning_rate": rate, "lora.rank": rank})
    nested = configs.load(base, {"max_steps": steps, "learning_rate": rate, "lora": {"rank": rank}})
    text = configs.load(base, [f"max_steps={steps}", f"learning_rate={rate!r}", f"lora.rank={rank}"])
    assert dotted == nested == text
    before, after = ({leaf.path: leaf.value for leaf in configs.leaves(c)} for c in (base, dotted))
    assert {p for p in before if before[p] != after[p]} <= {"max_steps", "learning_rate", "lora.rank"}


def test_every_leaf_has_help_and_every_number_a_bound():
    """Tables and widgets show nothing else: a field without help or bounds is a knob nobody can turn."""
    for phase in configs.PHASES:
        for leaf in configs.leaves(configs.load({"phase": phase})):
            assert len(leaf.help) > 10, leaf.path
            if type(leaf.value) in (int, float):
                assert leaf.bounds, leaf.path


def test_a_typo_in_a_section_that_may_be_absent_names_the_field():
    """`lora` of sft may be left out, and its typo was an AttributeError."""
    with pytest.raises(ValueError, match=r"unknown field 'lora.rnk'; known here: rank, alpha"):
        configs.load({"phase": "sft", "lora": {"rnk": 4}})


@pytest.mark.parametrize(("phase", "field", "empty"), [("evaluate", "k", []), ("lang_adapter", "corpus.sources", {})])
def test_an_empty_list_is_refused_when_it_is_read(phase, field, empty):
    """An empty corpus made the row order loop for ever."""
    with pytest.raises(ValueError, match="at least 1 item"):
        configs.load({"phase": phase}, {field: empty})


def test_what_is_laid_over_a_file_is_not_blamed_on_the_file(tmp_path):
    """The YAML was searched for a typo that stood in the notebook's overrides."""
    path = tmp_path / "sft.yaml"
    path.write_text("phase: sft\n")
    for laid in ({"max_stepz": 1}, ["max_steps=many"]):
        with pytest.raises(ValueError, match=f"^overrides of {path}: "):
            configs.load(path, laid)
    with pytest.raises(ValueError, match=f"^overrides of {path}: 'max_steps' is 0"):
        configs.load(path, knobs={"max_steps": 0})
    path.write_text("phase: sft\nmax_stepz: 1\n")
    with pytest.raises(ValueError, match=f"^{path}: unknown field 'max_stepz'"):
        configs.load(path, {"seed": 1})


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({"phase": "sft", "max_step": 1}, "max_steps"),
        ({"phase": "sft", "lora": {"rnk": 4}}, "lora.rank"),
        ({"phase": "grpo", "temperature": 1.0}, "generation.temperature"),
        ({"phase": "stf"}, "sft"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(values, meant):
    with pytest.raises(ValueError, match=rf"did you mean '{meant}'\?"):
        configs.load(values)


def test_a_file_that_is_not_there_is_answered_with_one_that_is():
    for wrong in ("configs/sft/tinny.yaml", "configs/stf/tiny.yaml"):
        with pytest.raises(FileNotFoundError, match=r"did you mean 'configs/sft/tiny\.yaml'\?"):
            configs.load(wrong)


@pytest.mark.parametrize(
    ("phase", "digest"), [("sft", "2ae44873233e"), ("ipo", "cf8f5b00b0c4"), ("grpo", "7baf4df9d6bb")]
)
def test_a_field_that_came_later_changes_no_name(phase, digest):
    """These are in the names of runs that people have."""
    assert configs.digest(configs.load(f"configs/{phase}/tiny.yaml")) == digest
