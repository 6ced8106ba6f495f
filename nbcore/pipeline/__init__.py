"""Notebooks in order through papermill, each in its own process; what has finished before is not repeated."""

from nbcore.pipeline.gating import GateClosed
from nbcore.pipeline.plan import Pipeline, Stage, load
from nbcore.pipeline.stages import StageFailed, StagePaused, resume, run

__all__ = ["GateClosed", "Pipeline", "Stage", "StageFailed", "StagePaused", "load", "resume", "run"]
