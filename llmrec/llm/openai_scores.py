"""Scores from the log-probabilities that a server echoes with a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from llmrec.errors import ModelError
from llmrec.llm.base import Score, Usage
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.openai_answers import EchoAnswer, read_answer, within
from llmrec.llm.openai_client import ServerClient

LEAST_LOGPROB = -9999.0
SCORE_CURE = (
    "use a server that echoes log-probabilities of the prompt (vLLM, or llama-cpp-python started with "
    "--logits_all true), or rely on generated answers"
)


class EchoLostError(ModelError):
    """The server echoes no log-probabilities any more."""


class EchoScorer:
    """Asks /completions for the log-probabilities of given texts. Safe to use from several threads."""

    def __init__(
        self, client: ServerClient, *, count: Callable[[Usage], Usage], max_concurrency: int
    ) -> None:
        """Prepare; `count` takes what each request has cost."""
        self._client = client
        self._count = count
        self._max_concurrency = max(1, max_concurrency)

    def echo(
        self, lead: str, text: str, start: int, *, cancellation: Cancellation | None = None
    ) -> list[float | None] | None:
        """The log-probabilities of the tokens of text[start:] after the lead; None when none are echoed."""
        # One token more is asked for than needed: some servers take 0 for "without end".
        options = {"echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
        raw = self._client.complete(lead + text, options, cancellation=cancellation)
        answer = read_answer(EchoAnswer, raw, self._client.shown_url)
        self._count(answer.usage)
        return answer.continuation_logprobs(text, start)

    def score(
        self,
        lead: str,
        prefix: str,
        continuations: Sequence[str],
        *,
        cancellation: Cancellation | None = None,
    ) -> list[Score]:
        """Score each continuation, several at once where that is allowed.

        Raises EchoLostError, and ModelError for a text that needs a prefix.
        """

        def score_one(continuation: str) -> Score:
            return self._score_one(lead, prefix, continuation, cancellation)

        if self._max_concurrency == 1:
            return [score_one(continuation) for continuation in continuations]
        with ThreadPoolExecutor(self._max_concurrency) as pool:
            return list(pool.map(score_one, continuations))

    def _score_one(
        self, lead: str, prefix: str, continuation: str, cancellation: Cancellation | None
    ) -> Score:
        if not continuation:
            return Score(logprob=0.0, tokens=0)
        found = self.echo(lead, prefix + continuation, len(prefix), cancellation=cancellation)
        name = self._client.model
        if found is None:
            raise EchoLostError(
                f"{name} at {self._client.shown_url} echoed no log-probabilities for a text, though it did "
                f"before: {SCORE_CURE}"
            )
        values = [within(LEAST_LOGPROB, value, 0.0) for value in found if value is not None]
        if len(values) < len(found) or not values:
            raise ModelError(
                f"{name} gives no probability for the first token of a text: score with a prefix"
            )
        return Score(logprob=sum(values), tokens=len(values))
