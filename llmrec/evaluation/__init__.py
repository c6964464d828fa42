"""Measuring rankings: data sets, protocols, metrics, baselines, probes, reports, and learning weights."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmrec.evaluation.datasets import DataSource
    from llmrec.evaluation.metrics import figures
    from llmrec.evaluation.run import evaluate
    from llmrec.evaluation.systems import FunctionSystem, RankerSystem, RecommenderSystem
    from llmrec.evaluation.tuning import tune
    from llmrec.evaluation.types import EvaluationResult, ProtocolOptions, Query, Scored, System

__all__ = [
    "DataSource",
    "EvaluationResult",
    "FunctionSystem",
    "ProtocolOptions",
    "Query",
    "RankerSystem",
    "RecommenderSystem",
    "Scored",
    "System",
    "evaluate",
    "figures",
    "tune",
]

# Imported when first used: the judge's process is to start fast, and to be the first to load its own module.
_HOMES = {
    "DataSource": "datasets",
    "EvaluationResult": "types",
    "FunctionSystem": "systems",
    "ProtocolOptions": "types",
    "Query": "types",
    "RankerSystem": "systems",
    "RecommenderSystem": "systems",
    "Scored": "types",
    "System": "types",
    "evaluate": "run",
    "figures": "metrics",
    "tune": "tuning",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"llmrec.evaluation.{_HOMES[name]}"), name)
    return value
