"""`llmrec models`: which models there are, and whether one can serve."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from llmrec.cli.failures import FAILED, in_options
from llmrec.cli.options import JsonOption, ModelOption, StrategyOption, show_help_without_command
from llmrec.cli.progress import ProgressReport
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from llmrec.cli.documents import ModelReport, ModelTrial
    from llmrec.llm.base import LanguageModel
    from llmrec.llm.registry import ModelKind
    from llmrec.settings import Settings

app = typer.Typer(
    invoke_without_command=True,
    callback=show_help_without_command,
    help="See which models there are, and check that one can serve.",
)

PREFIX = "The capital of France is"
RIGHT, WRONG = " Paris", " purple"
# Long enough that the fixed cost of a call does not count, short enough for a slow machine.
LONG_TEXT = "A library keeps books, and a reader who comes in from the rain finds one by the window. " * 12
GENERATED_TOKENS = 48
ANSWER_TOKENS = 64


@app.command("list")
def list_models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the ways to name a model, and whether each can be used here."""
    from llmrec.cli.documents import ModelsDocument
    from llmrec.llm.registry import model_kinds

    terminal: Terminal = context.obj
    kinds = model_kinds()
    if as_json:
        terminal.write_json(ModelsDocument(models=tuple(kinds)))
    else:
        terminal.show(*(_kind_view(kind) for kind in kinds))


def _kind_view(kind: ModelKind) -> RenderableType:
    state = ("ready", "green") if kind.ready else ("not ready", "yellow")
    lines: list[RenderableType] = [
        Text.assemble((kind.specification, "bold"), "  ", state),
        Padding(Text(kind.description), (0, 0, 0, 2)),
    ]
    if kind.hint:
        lines.append(Padding(Text(in_options(kind.hint), style="yellow"), (0, 0, 0, 2)))
    return Group(*lines)


@app.command("check")
def check(
    context: typer.Context,
    model: ModelOption = None,
    strategy: StrategyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a model, ask it something small, and measure it; exit code 1 when llmrec cannot work with it."""
    from llmrec.cli.session import settings_from

    terminal: Terminal = context.obj
    settings = settings_from(model=model, strategy=strategy)
    with ProgressReport(terminal) as progress:
        report = check_model(settings, progress.update)
    if as_json:
        terminal.write_json(report)
    else:
        _show_report(terminal, report)
    if not report.serves:
        terminal.fail(report.advice)
        raise typer.Exit(FAILED)


def check_model(settings: Settings, tell: Callable[[str], object]) -> ModelReport:
    """Open the model of the settings, ask it what llmrec will ask, and report; nothing is raised."""
    from llmrec.cli.documents import ModelReport
    from llmrec.errors import LlmrecError
    from llmrec.llm.llama_bindings import usable_threads
    from llmrec.llm.registry import open_model

    tell(f"opening {settings.model}")
    began = time.perf_counter()
    try:
        model = open_model(settings.model, settings)
    except LlmrecError as error:
        return ModelReport(specification=settings.model, serves=False, advice=str(error))
    try:
        seconds = time.perf_counter() - began
        can = model.capabilities
        strategy, advice = _strategy(settings, model)
        trials = tuple(_trials(model, tell))
        failed = next((trial for trial in trials if trial.passed is False), None)
        if failed is not None and not advice:
            advice = f"the model {model.name} failed at {failed.name}: {failed.detail}"
        is_remote = settings.model.startswith("openai:")
        return ModelReport(
            specification=settings.model,
            serves=not advice,
            name=model.name,
            fingerprint=model.fingerprint,
            capabilities=can,
            threads=None if is_remote else settings.threads or usable_threads(),
            strategy=strategy,
            opening_seconds=seconds,
            trials=trials,
            advice=advice,
        )
    except LlmrecError as error:
        return ModelReport(specification=settings.model, serves=False, name=model.name, advice=str(error))
    finally:
        model.close()


def _strategy(settings: Settings, model: LanguageModel) -> tuple[str | None, str]:
    """The strategy that would be chosen, or what to do because there is none."""
    from llmrec.errors import ModelError
    from llmrec.interests.extraction import choose_strategy

    try:
        return choose_strategy(settings.strategy, model), ""
    except ModelError as error:
        return None, str(error)


def _trials(model: LanguageModel, tell: Callable[[str], object]) -> list[ModelTrial]:
    from llmrec.cli.documents import ModelTrial

    can = model.capabilities
    trials: list[tuple[str, bool, Callable[[LanguageModel], ModelTrial]]] = [
        ("scoring", can.score, _try_scoring),
        ("schema answer", can.generate and can.structured != "none", _try_schema),
        ("generation", can.generate, _try_generation),
    ]
    results = []
    for name, claimed, attempt in trials:
        if claimed:
            tell(f"trying {name}")
            results.append(_caught(name, attempt, model))
        else:
            results.append(ModelTrial(name=name, passed=None, detail="not offered by this model"))
    return results


def _caught(name: str, attempt: Callable[[LanguageModel], ModelTrial], model: LanguageModel) -> ModelTrial:
    from llmrec.cli.documents import ModelTrial
    from llmrec.errors import LlmrecError

    try:
        return attempt(model)
    except LlmrecError as error:
        return ModelTrial(name=name, passed=False, detail=str(error))


def _try_scoring(model: LanguageModel) -> ModelTrial:
    from llmrec.cli.documents import ModelTrial

    right, wrong = model.score(PREFIX, [RIGHT, WRONG])
    before, began = model.usage, time.perf_counter()
    model.score(LONG_TEXT, [RIGHT])
    seconds, tokens = time.perf_counter() - began, (model.usage - before).prompt_tokens
    plausible = right.logprob > wrong.logprob
    found = f"after “{PREFIX}”,{RIGHT} {right.logprob:.1f} and{WRONG} {wrong.logprob:.1f} nats"
    if not plausible:
        found += "; a language model prefers the first, so use another model, or another server"
    return ModelTrial(
        name="scoring", passed=plausible, detail=found, tokens_per_second=_rate(tokens, seconds)
    )


def _try_schema(model: LanguageModel) -> ModelTrial:
    import json

    from llmrec.cli.documents import ModelTrial
    from llmrec.llm.base import Message

    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string"}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    question = 'What is the capital of France? Answer with JSON such as {"capital": "..."}.'
    completion = model.generate(
        [Message(role="user", content=question)], schema=schema, max_tokens=ANSWER_TOKENS
    )
    text = completion.text.strip()
    try:
        answer = json.loads(text)
        valid = isinstance(answer, dict) and isinstance(answer.get("capital"), str) and len(answer) == 1
    except ValueError:
        valid = False
    if valid:
        return ModelTrial(name="schema answer", passed=True, detail=text)
    advice = f"{text[:80]!r} is not what was asked for: use the anchored strategy, or a larger model"
    return ModelTrial(name="schema answer", passed=False, detail=advice)


def _try_generation(model: LanguageModel) -> ModelTrial:
    from llmrec.cli.documents import ModelTrial
    from llmrec.llm.base import Message

    began = time.perf_counter()
    completion = model.generate(
        [Message(role="user", content="Tell me about your favourite book.")], max_tokens=GENERATED_TOKENS
    )
    seconds, tokens = time.perf_counter() - began, completion.usage.completion_tokens
    return ModelTrial(
        name="generation",
        passed=bool(completion.text.strip()),
        detail=f"{tokens} tokens written" if completion.text.strip() else "the answer was empty",
        tokens_per_second=_rate(tokens, seconds),
    )


def _rate(tokens: int, seconds: float) -> float | None:
    return tokens / seconds if tokens and seconds > 0 else None


def _show_report(terminal: Terminal, report: ModelReport) -> None:
    from llmrec.cli.views import facts, heading

    terminal.show(heading(report.name or report.specification))
    rows = []
    can = report.capabilities
    if report.fingerprint is not None and can is not None:
        rows = [
            ("fingerprint", report.fingerprint),
            ("opened in", f"{report.opening_seconds or 0:.1f} s"),
            ("context", f"{can.context_length:,} tokens" if can.context_length else "unknown"),
            ("threads", str(report.threads) if report.threads else "the server's"),
            ("scores", "yes" if can.score else "no"),
            ("generates", "yes" if can.generate else "no"),
            ("schemas", can.structured),
            ("open answers", "trusted" if can.open_answers else "not trusted"),
            ("strategy", report.strategy or "none"),
        ]
    for trial in report.trials:
        state = {True: "✓", False: "✗", None: "–"}[trial.passed]
        speed = f", {trial.tokens_per_second:,.0f} tokens/s" if trial.tokens_per_second else ""
        rows.append((f"{state} {trial.name}", f"{trial.detail}{speed}"))
    terminal.show(facts(rows), Text("serves" if report.serves else "does not serve", style="bold"))
