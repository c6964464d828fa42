"""Reading what `llmrec models check` reports."""

from __future__ import annotations

from llmrec.cli.documents import ModelReport, ModelTrial


def named(report: ModelReport, name: str) -> ModelTrial:
    return next(trial for trial in report.trials if trial.name == name)


def advised(report: ModelReport) -> str:
    return "\n".join(change.sentence for change in report.changes)
