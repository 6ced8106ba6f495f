"""Numbers that are NaN or infinite, in whatever they are nested."""

import math

import pytest

from nbcore.core import finite


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"loss": 1.0, "n": 3, "name": "nan", "empty": None}, []),
        ({"loss": math.nan}, ["loss is nan"]),
        ({"a": {"b": [1, -math.inf]}, "c": math.inf}, ["a.b[1] is -inf", "c is inf"]),
        ({"on": True, "text": "inf"}, []),
    ],
)
def test_every_number_that_is_not_finite_is_named(values, wrong):
    assert list(finite.wrong_numbers(values)) == wrong


def test_numbers_of_numpy_are_numbers():
    """numpy's float32 is no Python float: asked for that, it would pass."""
    numpy = pytest.importorskip("numpy")
    assert list(finite.wrong_numbers({"x": numpy.float32("nan")})) == ["x is nan"]
