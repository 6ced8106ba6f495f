"""Named task sets: every shipped one loads, and a wrong one says in one line what is wrong."""

from pathlib import Path

import pytest

from nbcore import config as configs
from nbcore.config import tasksets
from nbcore.tasks import sets

TINY = "configs/evaluate/tiny.yaml"


@pytest.mark.parametrize("path", sorted(Path("configs/tasksets").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_set_loads_by_name_and_by_path(path):
    assert tasksets.resolve(path.stem) == tasksets.resolve(str(path.resolve()))


def test_a_config_without_sets_keeps_its_name():
    """Every run that was evaluated before would be another one."""
    assert configs.digest(configs.load(TINY)) == "381b752c9469"
    assert configs.digest(configs.load(TINY, {"tasksets": ["refusals"]})) != "381b752c9469"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("refusals", "in brackets"),
        ([3], "neither a name"),
        ([{"source": "katas", "sauce": 1}], "unknown field 'sauce'"),
        ([{"source": "katas", "sha256": "abc"}], "sha256"),
        ([{"source": "katas", "name": "heldout"}], "heldout"),
        ([{"source": "refusals"}], "do not go together"),
        ([{"source": "katas", "k": [10], "samples": 5}], "needs samples of at least 10"),
        ([{"source": "katas", "prompt_form": "{nothing}"}], "unknown field"),
    ],
)
def test_a_wrong_entry_is_one_line(given, words):
    with pytest.raises(ValueError, match=words) as error:
        configs.load(TINY, {"tasksets": given})
    assert "\n" not in str(error.value) and "tasksets" in str(error.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(FileNotFoundError, match=r"did you mean 'refusals'"):
        tasksets.resolve("refusal")


def test_nothing_to_ask_is_refused():
    with pytest.raises(ValueError, match="nothing would be asked"):
        configs.load(TINY, {"heldout": 0, "unseen": 0})


def test_a_source_is_looked_for_beside_its_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("source: mine.jsonl\n")
    (tmp_path / "mine.jsonl").write_text("")
    assert tasksets.resolve(str(tmp_path / "mine.yaml")).source == str(tmp_path / "mine.jsonl")


def test_other_content_than_the_hash_says_is_refused():
    kata = configs.TaskSet(source="katas", split="unseen_family")
    good = sets.of_set(kata, 0)
    again = sets.of_set(kata.model_copy(update={"sha256": good.sha256, "limit": 3}), 0)
    assert again.sha256 == good.sha256 and len(again.tasks) == 3
    with pytest.raises(ValueError, match=f"sha256 is {'0' * 64}.*{good.sha256}"):
        sets.of_set(kata.model_copy(update={"sha256": "0" * 64}), 0)
