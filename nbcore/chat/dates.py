"""Chat templates that print today's date, with a date that stays: else a run would go on with other tokens tomorrow."""

from __future__ import annotations

import re
from datetime import datetime

SHIPPED = "2024-07-26"  # what Llama's templates say where they know no date
_CALL = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")
_LEFT = re.compile(r"strftime_now(?!\s+is\s+(not\s+)?defined)")
_REMARK = re.compile(r"\{#.*?#\}", re.DOTALL)
_TOLD = "%d %b %Y"  # the form in which Llama's templates take their date_string


def freeze(template: str, date: str | None = None) -> str:
    """The template with each call of strftime_now replaced by the date as text; `date` is "2025-01-31" or None for one
    that is shipped. A template that takes a date_string is given it where a date is asked for.

    Raises ValueError where a call's format stands elsewhere than in the call, or the function goes by another name.
    """
    day = datetime.fromisoformat(date or SHIPPED)
    frozen = _CALL.sub(lambda call: f"{call[1]}{day.strftime(call[2])}{call[1]}", template)
    if _LEFT.search(_REMARK.sub("", frozen)):
        raise ValueError(
            "chat template: it asks for today's date in a form that cannot be read; write the date into the template"
        )
    if date and re.search(r"\bdate_string\b", frozen):
        frozen = f'{{% set date_string = "{day.strftime(_TOLD)}" %}}{frozen}'
    return frozen
