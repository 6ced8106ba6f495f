"""The pipeline, killed with SIGKILL and given an empty disk each time: the mirror alone brings it to its end."""

import pytest

from tests.bench import kills

SHORT = """
name: short
stages:
  - {id: lang_adapter, phase: lang_adapter, config: configs/lang_adapter/tiny.yaml,
     overrides: {max_steps: 16, save_steps: 4, corpus.sources: {katas: 300}, lora.dropout: 0.05}}
  - {id: sft, phase: sft, config: configs/sft/tiny.yaml, parent: lang_adapter,
     overrides: {max_steps: 12, save_steps: 4}}
  - {id: sft_eval, phase: evaluate, config: configs/evaluate/tiny.yaml, parent: sft,
     overrides: {heldout: 12, unseen: 4, perplexity_documents: 16}}
"""


@pytest.mark.slow
def test_killed_up_to_three_times_it_ends_as_if_nothing_had_been(tmp_path):
    """Real notebooks, real kills, and the answers of the last evaluation equal to the last digit; the bench of the same
    name does it twenty times and with IPO."""
    assert kills.main(3, 0, tmp_path, SHORT)
