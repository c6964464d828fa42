"""Help whose options stand in groups, the common ones first, at any width."""

from __future__ import annotations

from typing import Any

import typer.core

ARGUMENTS = "Arguments"
OPTIONS = "Options"

RANKING = "How items are ranked"
REORDERING = "What counts beside relevance"
BUDGET = "What the model may cost, for each person"
FILES = "How files are written"
MODEL = "Model, interests and store"


class PanelCommand(typer.core.TyperCommand):
    """A command whose help has a part for each `rich_help_panel`, after the options without one.

    typer's own panels are boxes that cut the names of options short on narrow terminals.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, part by part."""
        panels: dict[str, list[tuple[str, str]]] = {ARGUMENTS: [], OPTIONS: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                other = ARGUMENTS if parameter.param_type_name == "argument" else OPTIONS
                panel = getattr(parameter, "rich_help_panel", None) or other
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)
