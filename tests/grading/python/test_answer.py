"""The Python program of a completion."""

import pytest

from nbcore.grading.python.answer import program_of

PROMPT = "import math\n\n\ndef area(r):\n    '''Of a circle.'''\n"
WHOLE = "def area(r):\n    return math.pi * r * r\n"


def test_a_completion_goes_on_from_the_prompt():
    assert program_of(PROMPT, "    return 1\n", "area") == PROMPT + "    return 1\n"


@pytest.mark.parametrize(
    "answer",
    [
        f"Here:\n```python\n{WHOLE}```\nDone.",
        f"```\n{WHOLE}```",
        f"```py\n{WHOLE}",
        f"```python\nx = 1\n```\n```python\n{WHOLE}```",
    ],
)
def test_a_chats_answer_keeps_what_stands_above_the_function(answer):
    """Judged as a continuation, every answer in fences was a SyntaxError."""
    assert program_of(PROMPT, answer, "area") == "import math\n\n\n" + WHOLE


def test_a_body_in_fences_is_a_body():
    assert program_of(PROMPT, "```python\n    return 1\n```", "area") == PROMPT + "    return 1\n"
