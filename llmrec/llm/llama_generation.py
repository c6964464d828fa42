"""Token by token: choosing, holding to a schema, and putting text together."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.errors import ModelError
from llmrec.llm.llama_bindings import Vocabulary
from llmrec.llm.stopping import StopFilter

# Below this the likeliest token is all but certain, and dividing by less would overflow.
LEAST_TEMPERATURE = 1e-3
# Where any white space is allowed, a small model can write nothing else until its tokens are spent.
JSON_WHITE_SPACE = r"[ \n\t]{1,64}"

Logits = npt.NDArray[np.float32]


class SchemaGuide:
    """Says which tokens may come next in an answer that fits a JSON schema."""

    def __init__(self, tokenizer: Any, schema: dict[str, Any]) -> None:
        """Read the schema. Raises ModelError for one that cannot be held to, before any token."""
        llguidance = _import_llguidance()
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(
                json.dumps(schema), defaults={"whitespace_pattern": JSON_WHITE_SPACE}
            )
        except (TypeError, ValueError) as error:
            raise ModelError(f"the schema cannot be held to: {error}") from error
        self._matcher = llguidance.LLMatcher(tokenizer, grammar)
        if self._matcher.is_error():
            reason = " ".join(self._matcher.get_error().split())
            raise ModelError(f"the schema cannot be held to: {reason}")

    @property
    def is_finished(self) -> bool:
        """Whether the answer is whole and nothing can follow."""
        return bool(self._matcher.is_stopped())

    def restrict(self, logits: Logits) -> None:
        """Make the tokens that may not come next impossible, in place."""
        allowed = np.frombuffer(self._matcher.compute_logit_bias(), dtype=np.uint8)[: len(logits)]
        logits[: len(allowed)][allowed == 0] = -np.inf
        logits[len(allowed) :] = -np.inf

    def accept(self, token: int, *, most: int) -> list[int]:
        """Take a chosen token in; return it with those that must follow it, `most` in all.

        Raises ModelError when the token fits no answer.
        """
        taken = [token]
        self._consume(token)
        for forced in self._matcher.compute_ff_tokens()[: most - 1]:
            self._consume(forced)
            taken.append(forced)
        return taken

    def _consume(self, token: int) -> None:
        if not self._matcher.consume_token(token):
            raise ModelError(f"the grammar refused its own token: {self._matcher.get_error()}")


def schema_tokenizer(vocabulary: Vocabulary) -> Any:
    """What a SchemaGuide needs of a vocabulary; it takes a while for a large one, so keep it.

    Raises ModelError when the library is not installed.
    """
    _import_llguidance()
    import llguidance.llamacpp

    # Where no token ends an answer, one that the model does not have stands for the end.
    endings = vocabulary.endings()
    return llguidance.llamacpp.lltokenizer_from_vocab(
        vocabulary.raw,
        n_vocab=vocabulary.size + (not endings),
        eos_token=endings or vocabulary.size,
    )


def _import_llguidance() -> Any:
    try:
        import llguidance
    except ImportError as error:
        raise ModelError(
            "answers held to a schema need llguidance: run pip install 'llmrec[local]'"
        ) from error
    return llguidance


def choose(logits: Logits, temperature: float, generator: np.random.Generator) -> int:
    """The likeliest token, or with a temperature one drawn from the softmax; `logits` may be overwritten."""
    if temperature < LEAST_TEMPERATURE:
        return int(logits.argmax())
    highest = logits.max()
    if highest == -np.inf:
        return 0
    logits -= highest
    logits /= np.float32(temperature)
    weights = np.exp(logits, out=logits).cumsum(dtype=np.float64)
    place = weights.searchsorted(generator.random() * weights[-1], side="right")
    return int(min(place, len(weights) - 1))


class AnswerText:
    """Puts the bytes of tokens together into text, hands on each piece, and ends at a stop string."""

    def __init__(self, stop: Sequence[str], on_text: Callable[[str], object] | None) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = StopFilter(stop)
        self._on_text = on_text
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """The answer so far, without what may turn out to be a stop string."""
        return "".join(self._pieces)

    def add(self, data: bytes) -> bool:
        """Add a token's bytes; True when a stop string ended the answer."""
        self._tell(self._filter.feed(self._decoder.decode(data)))
        return self._filter.stopped

    def finish(self) -> None:
        """Mark a character that was cut off, and hand on what was held back."""
        self._tell(self._filter.feed(self._decoder.decode(b"", final=True)) + self._filter.finish())

    def _tell(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)
            if self._on_text is not None:
                self._on_text(piece)
