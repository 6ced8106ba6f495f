"""Licences of base and data: what each is, what it asks for, and what does not go together."""

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.core import licences
from nbcore.report import cards, licensing
from tests.gates import made


@pytest.mark.parametrize(
    ("licence", "kind"),
    [
        ("MIT OR Apache-2.0", "permissive"),
        ("apache-2.0", "permissive"),
        ("MIT OR GPL-3.0-only", "permissive"),
        ("MIT AND GPL-3.0-only", "copyleft"),
        ("MPL-2.0", "copyleft"),
        ("llama3.1", "conditions"),
        ("gemma", "conditions"),
        ("cc-by-nc-4.0", "conditions"),
        ("cc-by-nc-nd-4.0", "no offer"),
        ("my-own-licence", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_kind_of_a_licence(licence, kind):
    assert licensing.kind(licence) == kind


def base(licence):
    return licensing.Part("the/base", licence, "README.md")


def data(licence):
    return licensing.Part("my data", licence, "recorded")


@pytest.mark.parametrize(
    ("of_base", "of_data", "conflict", "duty", "unknown"),
    [
        ("apache-2.0", "MIT", None, None, None),
        ("apache-2.0", "GPL-3.0-only", "my data is under GPL-3.0-only", None, None),
        ("llama3.1", "GPL-3.0-only", "the base the/base is under llama3.1", "Built with Llama", None),
        ("MPL-2.0", "MPL-2.0", None, None, None),
        ("gemma", "MIT", None, "prohibited use policy", None),
        ("apache-2.0", "cc-by-nc-4.0", "my data is under cc-by-nc-4.0", "no commercial use", None),
        ("cc-by-nc-nd-4.0", "MIT", "no changed copies", "no changed copies", None),
        ("apache-2.0", None, None, None, "my data: recorded"),
        (None, "MIT", None, None, "the/base: README.md"),
        (None, "GPL-3.0-only", "a licence that is not known", None, "the/base"),
        (licensing.OWN, "GPL-3.0-only", None, "the model has to be, too", None),
        ("GPL-3.0-only", "GPL-3.0-or-later", None, None, None),
        ("gpl-3.0", "GPL-3.0-only OR BSD-4-Clause", None, None, None),
        ("GPL-3.0", "MIT AND GPL-2.0-or-later", None, None, None),
        ("GPL-3.0-or-later", "GPL-2.0+", None, None, None),
        ("GPL-2.0-only", "GPL-3.0-or-later", "my data is under GPL-3.0-or-later", None, None),
        ("GPL-3.0-only", "GPL-2.0-only", "my data is under GPL-2.0-only", None, None),
        ("GPL-3.0-or-later", "GPL-3.0-only", "my data is under GPL-3.0-only", None, None),
        ("GPL-3.0-only", "AGPL-3.0-or-later", "my data is under AGPL-3.0-or-later", None, None),
    ],
)
def test_what_goes_together(of_base, of_data, conflict, duty, unknown):
    """Data under "GPL 3.0 or later" was told to conflict with a base under GPL 3.0, under which it may be taken."""
    judged = licensing.judged(base(of_base), [data(of_data)])
    for lines, words in ((judged.conflicts, conflict), (judged.duties, duty), (judged.unknown, unknown)):
        assert (words in " ".join(lines)) if words else not lines


FRONT = "---\nlicense: other\nlicense_name: qwen-research\ntags: [code]\n---\n# A model\n"


@pytest.mark.parametrize(
    ("file", "text", "licence"),
    [
        ("README.md", "---\nlicense: llama3.1\n---\n", "llama3.1"),
        ("README.md", FRONT, "qwen-research"),
        ("LICENSE", "                 Apache License\n           Version 2.0, January 2004\n", "Apache-2.0"),
        ("LICENSE.txt", "LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\n", "llama3.2"),
        ("LICENCE", "MIT License\n\nCopyright", "MIT"),
        ("LICENSE", "All rights reserved.", None),
        ("README.md", "---\nlicense: [\n---\n", None),
        ("config.json", "{}", None),
    ],
)
def test_what_a_folder_states(tmp_path, file, text, licence):
    """A card that is no YAML, or a licence that nobody knows, is unknown and no error."""
    (tmp_path / file).write_text(text)
    assert licences.of_folder(tmp_path).licence == licence


def test_a_card_names_the_licence_of_base_and_of_each_source(store):
    """The data run that a training read is nobody's parent: a card that walks parents alone says nothing of it."""
    config = configs.load({"phase": "sft", "name": "tiny", "max_steps": 500, "rows": "katas"})
    run = made.trained(store, "sft", config=config)
    judged = licensing.of_run(run)
    assert judged.licence == "Apache-2.0" and [part.what for part in judged.data] == ["katas"]
    text = cards.card(run)
    assert "license: apache-2.0" in text and "## Licence" in text and "| katas | Apache-2.0 | permissive |" in text


def test_a_file_of_ones_own_has_no_known_licence(store, tmp_path):
    rows = tmp_path / "mine.jsonl"
    rows.write_text('{"id": "a", "messages": []}\n')
    config = configs.load({"phase": "sft", "name": "tiny", "max_steps": 500, "rows": str(rows)})
    judged = licensing.of_run(made.trained(store, "sft", config=config))
    assert judged.unknown[0].startswith("mine.jsonl: a file of sft/") and str(tmp_path) not in str(judged)


def test_a_data_run_brings_the_licences_of_its_sources(store):
    """What it recorded of each source, and a conflict where one is copyleft."""
    config = configs.load({"phase": "data", "name": "tiny"})
    read = runs.open(config, store)
    (read.path / "data").mkdir()
    counts = {"crates": {"licences": {"GPL-3.0-only": 3, "MIT": 5}}, "more": {"licences": {"unknown": 2}}}
    read.finish({}, base=None, device="CPU", data_hash="e" * 64, data={"sources": counts})
    config = configs.load({"phase": "sft", "name": "tiny", "max_steps": 500, "data_run": read.id})
    run = made.trained(store, "sft", config=config)
    judged = licensing.of_run(run)
    assert [part.what for part in judged.data] == ["3 records of crates", "5 records of crates", "2 records of more"]
    assert "GPL-3.0-only" in judged.conflicts[0] and judged.unknown == [f"2 records of more: recorded by {read.id}"]
    assert "Conflict: 3 records of crates" in cards.card(run)
    assert "It is passed on although its licences conflict: a lawyer said so" in cards.card(run, "a lawyer said so")


def test_a_path_of_this_machine_is_in_no_card(tmp_path):
    place = f"{tmp_path}/models--meta-llama--Llama-3.1-8B/snapshots/0123abc"
    assert licensing.of_base(place).what == "meta-llama/Llama-3.1-8B"
    assert licensing.of_base(f"{tmp_path}/private/mine").what == "mine"
