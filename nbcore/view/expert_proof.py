"""What a run's first step did to the experts of its model, in words."""

from __future__ import annotations

from nbcore import runs
from nbcore.view.html import Html
from nbcore.view.viewers import facts


def experts(run: runs.Run) -> Html:
    """The proof that experts train, as a table; for a model where none has an adapter, that in one line."""
    found = numbers(run)
    return facts(found or {"experts": "no step has trained one: the model is dense, or attention alone trains"})


def numbers(run: runs.Run) -> dict[str, str]:
    """The newest attempt's record; empty where no expert of the run's model has an adapter."""
    found = run.events("experts")
    if not found:
        return {}
    last = found[-1]
    return {
        "expert weights with an adapter": f"{last['weights']}, {last['parameters']:,} numbers that train",
        f"gradient at step {last['step']}": (
            f"in {last['with_gradient']} of {last['weights']}, norm {last['gradient_norm']:.3g}"
        ),
        f"changed by step {last['step']}": f"{last['changed']} of {last['weights']}, by {last['change']:.3g}",
    }


def sentence(run: runs.Run) -> str:
    """The same as one sentence for a report; empty where there is nothing to say."""
    return "; ".join(f"{name}: {value}" for name, value in numbers(run).items())
