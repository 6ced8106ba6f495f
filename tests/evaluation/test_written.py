"""samples.md can be read, and no answer can break out of its place in it."""

from hypothesis import given
from hypothesis import strategies as st

from nbcore.evaluation import written


@given(st.text())
def test_no_text_ends_its_fence(text):
    """An answer with a fence in it would turn the rest of the page into Markdown of the model's."""
    first, *inside, last = written.fenced(text).split("\n")
    fence = first.removesuffix("text")
    assert last == fence and set(fence) == {"`"} and not any(fence in line for line in inside)


def test_what_is_invisible_is_spelled_out():
    assert "\\x1b[31m" in written.fenced("\x1b[31mred") and "\\u202e" in written.fenced("a\u202eb")


def test_a_name_in_a_heading_is_no_markup():
    assert written._inline("<script>\n# x`") == "\\<script\\> \\# x\\`"
