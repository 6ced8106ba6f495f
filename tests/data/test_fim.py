"""Fill-in-the-middle: the three parts are the document, each mark is one id, and nothing else is touched."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from nbcore.data import fim
from nbcore.training import corpus, load

SEEDLING = load.tokenizer_at(str(load.SEEDLING))


def tokenizer(*added, special=True):
    """A byte-level tokenizer with these tokens added."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=inner)
    made.add_tokens(list(added), special_tokens=special)
    return made


@settings(max_examples=150, deadline=None)
@given(st.text(), st.text(max_size=8), st.integers(0, 2**32 - 1))
def test_the_parts_are_the_document(text, identity, seed):
    """A character lost or moved teaches code that was never written."""
    cut = fim.cut(text, identity, seed, 1.0)
    assert cut.prefix + cut.middle + cut.suffix == text and cut.order in (fim.PSM, fim.SPM)
    assert cut == fim.cut(text, identity, seed, 1.0)
    assert fim.cut(text, identity, seed, 0.0) is None


def test_half_are_told_and_half_of_these_each_way():
    """A rate that is off, or one order alone, is not what the config says."""
    cuts = [fim.cut("fn main() {}", str(number), 0, 0.5) for number in range(2000)]
    orders = Counter(cut.order if cut else None for cut in cuts)
    assert 900 < orders[None] < 1100 and 430 < orders[fim.PSM] < 570 and 430 < orders[fim.SPM] < 570
    assert cuts != [fim.cut("fn main() {}", str(number), 1, 0.5) for number in range(2000)]


@pytest.mark.parametrize("marks", [fim.QWEN, fim.STARCODER])
@pytest.mark.parametrize("special", [True, False])  # Qwen's marks are added tokens, not special ones
def test_ids_read_back_as_the_document(marks, special):
    """Each tokenizer family has marks of its own; a mark in pieces is text."""
    made = tokenizer(*marks, special=special)
    assert fim.names(made) == marks
    prefix, middle, suffix = made.convert_tokens_to_ids(list(marks))
    for number in range(40):
        cut = fim.cut('fn f() -> &str { "ß→é" }\r\n', str(number), 0, 1.0)
        ids = fim.encode(made, cut, marks)
        first, second, third = (made.decode(part) for part in _between(ids, prefix, middle, suffix, cut.order))
        if cut.order == fim.PSM:
            assert (first, second, third) == (cut.prefix, cut.suffix, cut.middle)
        else:
            assert (first, second, third) == ("", cut.suffix, cut.prefix + cut.middle)
    with pytest.raises(ValueError, match="control token"):
        fim.encode(made, fim.Cut(fim.PSM, "a", marks.middle[:4], marks.middle[4:]), marks)


def _between(ids, prefix, middle, suffix, order):
    assert [ids.count(mark) for mark in (prefix, middle, suffix)] == [1, 1, 1] and ids[0] == prefix
    second, third = ids.index(suffix), ids.index(middle)
    return ids[1:second], ids[second + 1 : third], ids[third + 1 :]


def test_a_tokenizer_without_marks_is_refused():
    """Marks spelt in letters would be learnt as text."""
    with pytest.raises(ValueError, match=r"fim_rate: the tokenizer has neither.*Qwen2.5-Coder.*fim_rate=0"):
        fim.names(tokenizer("<|fim_prefix|>"))
    assert fim.names(SEEDLING) == fim.QWEN


def test_documents_of_a_corpus():
    """Only texts that fit are rearranged, each by itself; chats, long documents and forged marks are not."""
    texts = [{"id": str(n), "text": f"fn f{n}() {{ {n} }}", "source": "x"} for n in range(60)]
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    others = [
        {"id": "chat", "messages": chat, "source": "x"},
        {"id": "forged", "text": "let a = <|fim_middle|>;", "source": "x"},
        {"id": "long", "text": "let a = 1;\n" * 50, "source": "x"},
    ]
    plain, _ = corpus.encode(SEEDLING, texts + others, 64)
    rows, counts = corpus.encode(SEEDLING, texts + others, 64, "split", *fim.filling(SEEDLING, 1.0, 7))
    assert counts["fim_psm"] + counts["fim_spm"] == 60 and counts["fim_too_long"] == 1
    assert counts["control_tokens_inside"] == 1 and counts["split"] == 1
    assert rows[60] == plain[60] and len(rows[61]["input_ids"]) > 64
    backwards, _ = corpus.encode(SEEDLING, (texts + others)[::-1], 64, "split", *fim.filling(SEEDLING, 1.0, 7))
    assert backwards[::-1] == rows
    assert all(row["labels"] == row["input_ids"] for row in rows)  # loss falls on every token
