"""Every chat template that TRL ships, and others (published/), on a small tokenizer with their control tokens added."""

import copy
import re
from functools import cache
from pathlib import Path

import trl
from tokenizers import AddedToken

from nbcore.chat.template import IGNORED
from nbcore.training import load

FOLDERS = (Path(trl.__file__).parent / "chat_templates", Path(__file__).parent / "published")
FILES = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.jinja"))}
NAMES = sorted(FILES)
# The ends of turns and the like; marks of reasoning are plain text on most tokenizers, and here.
CONTROL = re.compile(r"<\|\w+\|>|<｜[^｜\s]+｜>|<\|turn>|<turn\|>|<(?:start|end)_of_(?:turn|utterance)>")


@cache
def tokenizer(name):
    """The template `name` as a tokenizer has it."""
    source = FILES[name].read_text("utf-8")
    made = copy.deepcopy(load.tokenizer_at(str(load.SEEDLING)))
    # TRL's templates write some ends with a plain bar where the models have a wide one, or the other way round.
    known = set(made.get_vocab())
    new = [token for token in dict.fromkeys(CONTROL.findall(source)) if token not in known]
    made.add_tokens([AddedToken(token, special=True, normalized=False) for token in new])
    made.bos_token = "<|startoftext|>" if "<|startoftext|>" in made.get_vocab() else "<|endoftext|>"
    made.chat_template = source
    made.name_or_path = name
    return made


def emitted(sample):
    """The ids of each run of trained tokens."""
    runs, inside = [], False
    for label in sample.labels:
        if label != IGNORED:
            runs = [*runs[:-1], [*runs[-1], label]] if inside else [*runs, [label]]
        inside = label != IGNORED
    return runs
