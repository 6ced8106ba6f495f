"""Chats with calls for pretraining: the frame that the agent's brief episodes have, and room for them in a context."""

from nbcore.agent.tools import schemas
from nbcore.chat import renderer
from nbcore.data import calls, sources
from nbcore.tasks import katas
from nbcore.training import corpus, load


def test_the_frame_is_that_of_a_brief_episode():
    """A base that was shown another list of tools would see the agent's for the first time in SFT."""
    for names in (calls.NAMES, calls.NAMES[:2]):
        assert calls.tools(names) == schemas(True, names, brief=True)


def test_every_chat_copies_its_code_and_fits_the_second_stage():
    """The code that is written is the code that was read; none is cut at the 896 tokens of seedling_calls.yaml."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    documents = sources.generated("calls", 150, "train", 1)
    for document, task in zip(documents, katas.generate(4, 150, split="train"), strict=True):
        made = [m["tool_calls"][0]["function"] for m in document["messages"] if m.get("tool_calls")]
        assert {f["arguments"] for f in made if f["name"] == "write_file"} == {katas.code(task)}
    rows, counts = corpus.encode(tokenizer, documents, 896)
    assert counts["cut"] == 0 and len({len(document["messages"]) for document in documents}) == 3
    assert rows[0]["labels"] == renderer.chosen(tokenizer, documents[0]).render(documents[0])[0].ids
