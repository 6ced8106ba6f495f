"""A parameter that papermill injects and the notebook does not have: refused, whatever else has run in the kernel."""

import pytest

from nbcore.core import parameters

OWN = 'config = "a.yaml"  # @param {type:"string"}\noverrides = {}  # @param\nmax_steps = None  # @param {type:"raw"}'


def injected(**values):
    return "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in values.items())]) + "\n"


@pytest.mark.parametrize(
    "cells",
    [
        [OWN, "parameters.check()"],  # a person runs it
        ["", "import os", OWN, injected(max_steps=1, overrides={"max_step": 1}), "parameters.check()"],
        [OWN, injected(PAPERMILL_INPUT_PATH="a", PAPERMILL_OUTPUT_PATH="b"), "check"],  # --inject-paths
        [OWN, injected(max_step=1), OWN, "check"],  # run again by hand after the injected cell was deleted
        [OWN, injected(max_step=1), injected(max_steps=1), "check"],  # ... or mended
        [OWN, "max_step = 1", "# Parameters of mine\nx += 1", "check"],  # a person's own cells
        ["max_step = 1"],
    ],
)
def test_what_is_this_notebooks_own_passes(cells):
    """A notebook that refuses a person's scratch cell, or papermill's own additions, could not be used."""
    parameters.refuse_unknown(cells)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_step": 1}, ["'max_step'", "did you mean 'max_steps'?", "known: config, max_steps, overrides"]),
        ({"max_steps": 2, "Config": "x"}, ["'Config'", "did you mean 'config'?"]),
        ({"zzz": 1, "yyy": 2}, ["'yyy'", "zzz", "known: ", "any other field of the config goes into overrides"]),
    ],
)
def test_a_typo_is_one_line_with_the_nearest_name(values, words):
    """papermill only warns: max_step=1 trained with the YAML's steps and exited 0."""
    with pytest.raises(ValueError) as caught:
        parameters.refuse_unknown(["", OWN, injected(**values), "parameters.check()"])
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_outside_of_a_notebook_there_is_nothing_to_check():
    """The same line stands in notebooks that nbconvert or a plain script executes."""
    parameters.check()
