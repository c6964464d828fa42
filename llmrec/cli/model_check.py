"""Opening a model for `llmrec models check`, and putting together what is known and found out of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from llmrec.cli.documents import LocalReport, ModelReport
from llmrec.cli.model_changes import changes_for
from llmrec.cli.model_trials import Examination, essential_failure
from llmrec.errors import LlmrecError, ModelError
from llmrec.interests.extraction import choose_strategy
from llmrec.llm import llama_bindings as bindings
from llmrec.llm import llama_build, local_facts, registry
from llmrec.llm.base import LanguageModel
from llmrec.llm.cpu import KERNELS
from llmrec.llm.embedded import find_embedded_model
from llmrec.llm.llama_build import BuildReport
from llmrec.settings import Settings

logger = logging.getLogger(__name__)

Teller = Callable[[str], object]

# Scores of half floats move by hundredths with the shape of a batch, those of 8-bit blocks by most of one;
# a candidate that sees another moves by whole nats.
FLOAT_TOLERANCE = 0.2
ROUNDED_TOLERANCE = 1.0


def check_model(settings: Settings, tell: Teller) -> ModelReport:
    """Open the model of the settings, ask it what llmrec will ask, and report; nothing is raised.

    `tell` hears what is being done. What people did is not looked for in LLMREC_PREFIX_FOLDER, nor is
    anything written there.
    """
    settings = settings.model_copy(update={"prefix_folder": None})
    specification = settings.model.strip()
    build: BuildReport | None = None
    report = ModelReport(specification=settings.model, serves=False)
    try:
        if _is_local(specification):
            tell("checking this build of llama.cpp")
            build = llama_build.inspect_build(settings.cache_dir)
            report = report.model_copy(update={"local": _local_report(build, settings)})
            if not build.runs:
                raise ModelError(build.advice)
        tell(f"opening {settings.model}")
        began = time.perf_counter()
        model = registry.open_model(settings.model, settings)
    except LlmrecError as error:
        report = report.model_copy(update={"advice": str(error)})
    else:
        opening_seconds = time.perf_counter() - began
        report = report.model_copy(update={"name": model.name, "opening_seconds": opening_seconds})
        try:
            report = _examined(report, model, settings, tell)
        except LlmrecError as error:
            report = report.model_copy(update={"advice": str(error)})
        finally:
            model.close()
    report = report.model_copy(update={"serves": not report.advice})
    return report.model_copy(update={"changes": changes_for(report, settings, build)})


def _examined(report: ModelReport, model: LanguageModel, settings: Settings, tell: Teller) -> ModelReport:
    can = model.capabilities
    try:
        strategy, advice = choose_strategy(settings.strategy, model), ""
    except ModelError as error:
        strategy, advice = None, str(error)
    local = report.local
    if local is not None:
        local = _with_file(local, model, settings)
    file = local.file if local is not None else None
    is_rounded = file is None or file.weights is None or file.quantised
    examination = Examination(
        model,
        tell,
        tolerance=ROUNDED_TOLERANCE if is_rounded else FLOAT_TOLERANCE,
        on_server=settings.model.strip().startswith("openai:"),
    )
    examination.run()
    failed = essential_failure(examination.trials, strategy)
    if failed is not None and not advice:
        advice = f"the model {model.name} failed at {failed.name}: {failed.detail}"
    return report.model_copy(
        update={
            "fingerprint": model.fingerprint,
            "capabilities": can,
            "strategy": strategy,
            "local": local,
            "measurements": tuple(examination.measurements),
            "peak_memory_bytes": local_facts.peak_memory() if local is not None else None,
            "trials": tuple(examination.trials),
            "advice": advice,
        }
    )


def _is_local(specification: str) -> bool:
    kind = specification.partition(":")[0]
    return kind in {"embedded", "llama-cpp"} or specification.lower().endswith(".gguf")


def _local_report(build: BuildReport, settings: Settings) -> LocalReport:
    used = build.build_features
    if build.cpu_features and used:
        used = tuple(KERNELS[name] for name in build.cpu_features if KERNELS[name] in used)
    cores = bindings.usable_threads()
    return LocalReport.model_validate(
        {
            "processor": local_facts.processor_name(),
            "instructions_used": used,
            "instructions_unused": build.missing_features,
            "amx": "at work" if build.uses_amx else "idle" if "amx_int8" in build.cpu_features else "none",
            "repacking": _repacking(build),
            "finding": build.finding,
            "threads": settings.threads or cores,
            "usable_cores": cores,
            "cpu_quota": local_facts.cpu_quota(),
        }
    )


def _repacking(build: BuildReport) -> str:
    if not build.safe_with_repacking:
        return "unsafe"
    if not build.tried:
        return "unknown"
    return "at work" if any("REPACK" in name or "AMX" in name for name in build.buffers) else "not built in"


def _with_file(local: LocalReport, model: LanguageModel, settings: Settings) -> LocalReport:
    """Add what is known of the model's file, which is open already: what cannot be read is left out."""
    try:
        path, prepared = _file_of(model, settings)
        file = local_facts.inspect_gguf(path) if path is not None else None
    except (ModelError, OSError) as error:
        logger.debug("nothing is known of the file of %s: %s", model.name, error)
        return local
    return local.model_copy(update={"file": file, "prepared": prepared})


def _file_of(model: LanguageModel, settings: Settings) -> tuple[Path | None, bool | None]:
    """The file of a model, and whether it is the embedded one in its prepared form; None for another."""
    specification = settings.model.strip()
    if specification != "embedded":
        return Path(specification.removeprefix("llama-cpp:")).expanduser(), None
    carried = find_embedded_model()
    stem = carried.stem.split(".")[0]
    for path in (carried, *sorted(settings.cache_dir.glob(f"{stem}-*.gguf"))):
        # The fingerprint of a model names the file that was opened.
        if bindings.file_fingerprint(path) in model.fingerprint:
            return path, path != carried
    return None, None
