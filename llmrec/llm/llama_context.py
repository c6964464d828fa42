"""A llama.cpp model with its cache of keys and values: what it has read last, and branches of that."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llmrec.errors import CallCancelledError, ContextLengthError, ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm.llama_batch import AbortFlag, Batch, Row
from llmrec.llm.prefix_states import LEAST_TOKENS, PrefixState, PrefixStates, shared_length

BATCH_TOKENS = 256
"""Rows of a batch; half of it for a context above LONG_CONTEXT, since attention takes memory by both."""
LONG_CONTEXT = 4096
BATCH_LOGITS = 96
"""Logits are the larger part of a batch's memory, and smaller batches attend to fewer foreign tokens."""
SEQUENCES = 64
RECURRENT_SEQUENCES = 8
"""Recurrent layers reserve their whole state for each sequence, up to 50 MB for a model of 4B parameters."""
ABORTED = 2

Logits = npt.NDArray[np.float32]


class LlamaContext:
    """One model, one context. Sequence 0 holds what was read last, and the others are branches of it.

    Not safe for threads, except `abort`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        context_length: int,
        threads: int | None,
        repack: bool | None,
        states: PrefixStates,
    ) -> None:
        """Load the model. Raises ModelError when llama.cpp is absent or the file cannot be loaded."""
        self.path = Path(path)
        self.llama_cpp = llama_cpp = bindings.import_llama_cpp()
        self._log = bindings.log_collector(llama_cpp)
        # What was had is freed whatever fails later, the last one first; at the end of the process the system
        # frees it: a thread may still be at work.
        held: list[Callable[[], object]] = []
        self._release = weakref.finalize(self, _free, held)
        self._release.atexit = False
        self.model = bindings.load_model(llama_cpp, self.path, repack=repack)
        held.append(partial(llama_cpp.llama_model_free, self.model))
        trained = llama_cpp.llama_model_n_ctx_train(self.model)
        self.length: int = min(context_length, trained) if trained > 0 else context_length
        """The most tokens one text may have."""
        self.batch_tokens = BATCH_TOKENS if self.length <= LONG_CONTEXT else BATCH_TOKENS // 2
        """The most rows that `decode` takes."""
        recurrent: bool = llama_cpp.llama_model_is_recurrent(self.model)
        hybrid: bool = llama_cpp.llama_model_is_hybrid(self.model)
        self.branches: int = (RECURRENT_SEQUENCES if recurrent or hybrid else SEQUENCES) - 1
        """How many branches there can be at once."""
        self.shares_rows = not recurrent
        """Whether one row can belong to several branches."""
        self._window: int = llama_cpp.llama_model_n_swa(self.model)
        # A state of windows or recurrent layers serves only the very text it was taken after.
        self._states_can_be_cut = not (recurrent or hybrid or self._window)
        self._states = states
        self._context = bindings.open_context(
            llama_cpp,
            self.model,
            context_length=self.length,
            batch=self.batch_tokens,
            outputs=BATCH_LOGITS,
            sequences=self.branches + 1,
            threads=threads or bindings.usable_threads(),
        )
        held.append(partial(llama_cpp.llama_free, self._context))
        self._batch = Batch(llama_cpp, self.batch_tokens)
        self._abort_flag = AbortFlag(llama_cpp, self._context)
        self.vocabulary = bindings.Vocabulary(llama_cpp, self.model)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._held: list[int] = []
        self._next: Logits | None = None
        self.rows_evaluated = 0
        """Tokens evaluated since the model was opened."""

    @property
    def is_open(self) -> bool:
        """Whether the model is still in memory."""
        return self._release.alive

    def check_open(self) -> None:
        """Raise ModelError when the model was closed."""
        if not self.is_open:
            raise ModelError(f"the model {self.path.name} was closed: open it again")

    def close(self) -> None:
        """Free the model and its context; what it holds is kept on disk where that was asked for."""
        if self.is_open:
            try:
                if self._states.outlive_the_process and not self._states.were_forgotten():
                    self._keep_held(0)
            finally:
                self._states.clear()
                self._release()

    def abort(self) -> None:
        """End the evaluation that goes on in another thread, and all later ones until `allow`."""
        self._abort_flag.lift()

    def allow(self) -> None:
        """Let evaluations go on after `abort`."""
        self._abort_flag.lower()

    def evaluate(self, tokens: Sequence[int]) -> Logits:
        """Read these tokens into sequence 0 and return a copy of the logits of what comes next, [vocabulary].

        Only what neither sequence 0 nor a kept state holds already is evaluated; what sequence 0 loses is
        kept as a state where it is long enough. Raises ModelError, ContextLengthError for more tokens than
        fit, and CallCancelledError after `abort`.
        """
        self.check_open()
        tokens = list(tokens)
        if not tokens:
            raise ModelError("there is nothing to evaluate: give at least one token")
        if len(tokens) > self.length:
            # llama.cpp would end the process.
            raise ContextLengthError(
                f"a text of {len(tokens)} tokens does not fit the context of {self.length}: shorten it",
                tokens=len(tokens),
                limit=self.length,
            )
        if tokens != self._held or self._next is None:
            try:
                self._next = self._read(tokens)
            except BaseException:
                # Broken off anywhere in between, what is noted here may not be what llama.cpp holds.
                self.forget()
                raise
        return np.array(self._next)

    @contextlib.contextmanager
    def branched(self, count: int) -> Iterator[None]:
        """Inside, sequences 1 to `count` go on from sequence 0; after it they are gone."""
        llama_cpp, memory = self.llama_cpp, self._memory
        try:
            for sequence in range(1, count + 1):
                llama_cpp.llama_memory_seq_rm(memory, sequence, -1, -1)
                llama_cpp.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
            yield
        finally:
            for sequence in range(1, count + 1) if self.is_open else ():
                llama_cpp.llama_memory_seq_rm(memory, sequence, -1, -1)

    def decode(self, rows: Sequence[Row]) -> Logits:
        """Evaluate at most `batch_tokens` rows, and return the logits of those that want them.

        The result, [rows that want them, vocabulary], is llama.cpp's own memory: it may be written to, and
        holds until the next evaluation. Raises ModelError, and CallCancelledError after `abort`.
        """
        self.check_open()
        self._batch.fill(rows)
        code = self.llama_cpp.llama_decode(self._context, self._batch.raw)
        if code == ABORTED:
            raise CallCancelledError("the call was cancelled")
        if code != 0:
            self.forget()
            raise ModelError(
                f"llama.cpp could not evaluate {len(rows)} tokens (code {code}"
                f"{'; ' + reason if (reason := self._log.take_errors()) else ''}): "
                "shorten the texts or raise the context length (LLMREC_CONTEXT_LENGTH)"
            )
        self.rows_evaluated += len(rows)
        outputs = sum(row[3] for row in rows)
        if not outputs:
            return np.empty((0, self.vocabulary.size), np.float32)
        pointer = self.llama_cpp.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(outputs, self.vocabulary.size))

    def forget(self) -> None:
        """Empty the cache, but not the kept states."""
        if self.is_open:
            self.llama_cpp.llama_memory_clear(self._memory, True)
        self._held, self._next = [], None

    def forget_prefixes(self) -> int:
        """Empty the cache and forget the kept states, in memory and in files; return how many went.

        Raises StoreError when a file cannot be removed.
        """
        held = self.is_open and bool(self._held)
        self.forget()
        return held + self._states.forget()

    def damaged(self) -> ModelError:
        """Forget everything, and say what is wrong with a model whose logits are no numbers."""
        self.forget()
        return ModelError(
            f"the model {self.path.name} computes no numbers: its file is damaged, or this llama.cpp does "
            "not compute it rightly; fetch it again, or update llama-cpp-python"
        )

    def _read(self, tokens: list[int]) -> Logits:
        kept = self._recall(tokens)
        if kept == len(tokens) and self._next is not None:
            return self._next
        self._next = None
        logits = np.empty((0, self.vocabulary.size), np.float32)
        for begin in range(kept, len(tokens), self.batch_tokens):
            part = tokens[begin : begin + self.batch_tokens]
            rows: list[Row] = [
                (token, at, 0, at == len(tokens) - 1) for at, token in enumerate(part, start=begin)
            ]
            logits = self.decode(rows)
            self._held += part
        result: Logits = logits[-1].copy()
        if np.isnan(result.max()):
            raise self.damaged()
        return result

    def _recall(self, tokens: list[int]) -> int:
        """Bring sequence 0 to the longest beginning of the tokens that can be had, and return its length."""
        shared = shared_length(self._held, tokens)
        if shared == len(self._held) and 0 < len(tokens) - shared < LEAST_TOKENS:
            # The next token of an answer, most of all: no state saves more than looking for it costs.
            return self._truncate(shared)
        if self._states.were_forgotten():
            self.forget()
            shared = 0
        # Found first: where there is room for one state only, keeping another drives it out.
        state = self._states.find(
            tokens,
            whole=not self._states_can_be_cut,
            beyond=min(shared, len(tokens) - 1),
            longest=self.length,
        )
        self._keep_held(shared)
        reach = shared_length(state.tokens, tokens) if state is not None else 0
        if state is None or state.logits is None or not reach == len(tokens) == len(state.tokens):
            reach = min(reach, len(tokens) - 1)
        # The last token is evaluated again for what comes next, where no state knows that.
        kept = self._truncate(min(shared, len(tokens) - 1))
        if state is not None and reach > kept and self._restore(state):
            kept = reach if reach == len(state.tokens) else self._truncate(reach)
        return kept

    def _keep_held(self, shared: int) -> None:
        if len(self._held) - shared < LEAST_TOKENS:
            return
        size = self.llama_cpp.llama_state_seq_get_size(self._context, 0)
        if self._states.has_room_for(size + (self._next.nbytes if self._next is not None else 0)):
            data = np.empty(size, np.uint8)
            pointer = data.ctypes.data_as(bindings.BYTES)
            written = self.llama_cpp.llama_state_seq_get_data(self._context, pointer, size, 0)
            if written:
                self._states.keep(PrefixState(tuple(self._held), data[:written], self._next))

    def _restore(self, state: PrefixState) -> bool:
        self.llama_cpp.llama_memory_seq_rm(self._memory, 0, -1, -1)
        pointer = state.data.ctypes.data_as(bindings.BYTES)
        with self._log.muted():
            taken = self.llama_cpp.llama_state_seq_set_data(self._context, pointer, len(state.data), 0)
        if not taken:
            self.forget()
            self._states.drop(state)
            return False
        self._held, self._next = list(state.tokens), state.logits
        return True

    def _truncate(self, kept: int) -> int:
        """Cut sequence 0 to so many tokens, or to none where the model cannot; return what is left."""
        llama_cpp, memory = self.llama_cpp, self._memory
        if kept == len(self._held) and self._next is not None:
            return kept
        cut = llama_cpp.llama_memory_seq_rm(memory, 0, kept, -1)
        if cut and kept and self._window:
            # With windows llama.cpp says yes also when the tokens that are looked back to are gone.
            first = llama_cpp.llama_memory_seq_pos_min(memory, 0)
            cut = 0 <= first <= max(0, kept - self._window)
        if not cut:
            llama_cpp.llama_memory_seq_rm(memory, 0, -1, -1)
            kept = 0
        if kept < len(self._held):
            self._next = None
        self._held = self._held[:kept]
        return kept


def _free(held: list[Callable[[], object]]) -> None:
    while held:
        held.pop()()
