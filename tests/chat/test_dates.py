"""A chat template that prints today's date prints one that stays."""

import pytest
from transformers import AutoTokenizer

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import dates
from nbcore.training import load

# As in openai/gpt-oss-20b, meta-llama/Llama-3.2-1B-Instruct and meta-llama/Llama-3.1-8B-Instruct.
GPT_OSS = '{{- "Current date: " + strftime_now("%Y-%m-%d") + "\\n" }}'
LLAMA_3_2 = """{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "Today Date: " + date_string }}"""
LLAMA_3_1 = """{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{{- "Today Date: " + date_string }}"""


def said(template):
    tokenizer = AutoTokenizer.from_pretrained(load.SEEDLING)
    tokenizer.chat_template = template
    return tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False).strip()


@pytest.mark.parametrize(
    ("template", "shipped", "asked"),
    [
        (GPT_OSS, "Current date: 2024-07-26", "Current date: 2025-01-31"),
        (GPT_OSS.replace('("%Y-%m-%d")', "( '%Y-%m-%d' )"), "Current date: 2024-07-26", "Current date: 2025-01-31"),
        (LLAMA_3_2, "Today Date: 26 Jul 2024", "Today Date: 31 Jan 2025"),
        (LLAMA_3_1, "Today Date: 26 Jul 2024", "Today Date: 31 Jan 2025"),
        ("{{ messages[0].content }}", "hi", "hi"),
    ],
)
def test_the_date_of_the_config_is_printed(template, shipped, asked):
    """A run that went on the next day went on with other tokens, and nothing could tell."""
    assert said(dates.freeze(template)) == shipped and said(dates.freeze(template, "2025-01-31")) == asked


def test_a_template_without_a_date_stays_as_it_is():
    assert dates.freeze("{{ messages }}", "2025-01-31") == "{{ messages }}"


@pytest.mark.parametrize(
    "template",
    [
        "{% set form = '%Y' %}{{ strftime_now(form) }}",
        "{% set today = strftime_now %}{{ today('%Y') }}",
        "{{ strftime_now  ( '%Y' ~ '' ) }}",
    ],
)
def test_a_date_in_a_form_that_cannot_be_frozen_is_refused(template):
    """Under another name the clock was asked after all: tomorrow the same run had other tokens."""
    with pytest.raises(ValueError, match=r"^chat template: it asks for today's date"):
        dates.freeze(template)
    assert dates.freeze("{# strftime_now #}hi") == "{# strftime_now #}hi"


def test_a_run_takes_the_date_of_its_parent(tmp_path):
    """An evaluation of a run with a date of its own must ask in the words that were trained."""
    parent = runs.open(configs.load({"phase": "sft", "model": {"date": "2025-01-31"}}), tmp_path).finish({})
    assert load.date_of(runs.open(configs.load({"phase": "evaluate"}), tmp_path, parent)) == "2025-01-31"
    assert load.date_of(runs.open(configs.load({"phase": "evaluate"}), tmp_path)) is None


@pytest.mark.parametrize("given", ["2025-13-01", "today", "20250131", 5])
def test_what_is_no_day_is_one_line(given):
    with pytest.raises(ValueError, match=r"model\.date.*" + str(given)):
        configs.load({"phase": "sft"}, {"model.date": given})


def test_a_day_as_yaml_reads_it_is_a_day():
    asked = configs.load({"phase": "sft"}, ["model.date=2025-01-31"])
    assert asked.model.date == "2025-01-31" and configs.load(asked) == asked
    assert configs.digest(asked) != configs.digest(configs.load({"phase": "sft"}))
