"""The local engine: scoring, generation and life cycle, on a tiny random model and on the embedded one."""

from __future__ import annotations

import contextlib
import gc
import math
import random
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrec.errors import CallCancelledError, ContextLengthError, ModelError
from llmrec.llm.base import LanguageModel, Message, Score, forget_prefixes, score_prefixes
from llmrec.llm.cache import CachedModel, ModelCallCache
from llmrec.llm.cancellation import Cancellation
from tests.llm.contract import LanguageModelContract
from tests.llm.tiny_gguf import TRAINED_CONTEXT, write_tiny_gguf

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from llmrec.llm.llama_cpp import LlamaCppModel

PREFIX = "the fox asked the owl about the ship"
# Half floats in the cache of keys and values, multiplied in another order.
CLOSE = {"rel": 2e-3, "abs": 0.02}
# What the same texts may differ by in batches of other shapes, with half floats and thirty layers; in nats.
BATCH_NOISE = 0.1


def question(text: str = "Tell me about the fox.") -> list[Message]:
    return [Message(role="user", content=text)]


def logprobs(scores: list[Score]) -> list[float]:
    return [score.logprob for score in scores]


class TestTinyContract(LanguageModelContract):
    tolerance = CLOSE

    @pytest.fixture
    def model(self, open_tiny: Callable[..., LlamaCppModel]) -> LlamaCppModel:
        return open_tiny()


class TestTinyPiecesContract(LanguageModelContract):
    """The same with a vocabulary that puts spaces before texts and has a first token."""

    tolerance = CLOSE

    @pytest.fixture
    def model(self, open_tiny: Callable[..., LlamaCppModel], pieces_gguf: Path) -> LlamaCppModel:
        return open_tiny(pieces_gguf)


@pytest.mark.embedded
class TestEmbeddedContract(LanguageModelContract):
    knows_english = True
    tolerance = {"abs": BATCH_NOISE}

    @pytest.fixture
    def model(self, embedded_model: LanguageModel) -> LanguageModel:
        return embedded_model

    @pytest.fixture
    def model_to_close(self, prepared_gguf: Path) -> LanguageModel:
        return LlamaCppModel(prepared_gguf, context_length=256, threads=1)


@pytest.fixture(scope="module")
def one_by_one(tiny_gguf: Path) -> Callable[[str, str], float]:
    """Scores a continuation another way: llama-cpp-python's own class, one token at a time."""
    from llama_cpp import Llama

    llama = Llama(str(tiny_gguf), n_ctx=1024, logits_all=True, verbose=False, n_threads=1)

    def score(prefix: str, continuation: str) -> float:
        head = llama.tokenize(prefix.encode(), add_bos=False, special=False)
        tail = llama.tokenize(continuation.encode(), add_bos=False, special=False)
        llama.reset()
        total = 0.0
        for token in head:
            llama.eval([token])
        for token in tail:
            logits = llama.scores[llama.n_tokens - 1].astype(np.float64)
            total += logits[token] - logits.max() - math.log(np.exp(logits - logits.max()).sum())
            llama.eval([token])
        return total

    return score


class TestScore:
    def test_it_is_what_one_token_at_a_time_gives(
        self, tiny_model: LlamaCppModel, one_by_one: Callable[[str, str], float]
    ) -> None:
        continuations = [" the wood", " nothing", "电影", " ship ship ship", "!", "<|im_end|>"]
        expected = [one_by_one(PREFIX, continuation) for continuation in continuations]
        assert logprobs(tiny_model.score(PREFIX, continuations)) == pytest.approx(expected, **CLOSE)

    def test_reusing_a_prefix_in_part_changes_no_score(
        self, open_tiny: Callable[..., LlamaCppModel], one_by_one: Callable[[str, str], float]
    ) -> None:
        model = open_tiny()
        for prefix in (PREFIX, PREFIX + " and then", "the fox", "another text", PREFIX, "the fox asked"):
            assert model.score(prefix, [" the owl"])[0].logprob == pytest.approx(
                one_by_one(prefix, " the owl"), **CLOSE
            )
            model.generate(question("the fox asked"), max_tokens=3)

    def test_number_and_order_of_continuations_do_not_matter(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny()
        continuations = [f" the ship {number} {'wood' * (number % 7)}" for number in range(200)]
        together = model.score(PREFIX, continuations)
        backwards = model.score(PREFIX, continuations[::-1])[::-1]
        alone = [model.score(PREFIX, [continuation])[0] for continuation in continuations[:20]]
        assert [score.tokens for score in together] == [score.tokens for score in backwards]
        assert logprobs(backwards) == pytest.approx(logprobs(together), **CLOSE)
        assert logprobs(alone) == pytest.approx(logprobs(together[:20]), **CLOSE)

    @pytest.mark.parametrize("lengths", [[600], [300, 300, 300], [1, 700, 2, 513, 512, 511]])
    def test_long_continuations_are_scored_whole(
        self, tiny_model: LlamaCppModel, one_by_one: Callable[[str, str], float], lengths: list[int]
    ) -> None:
        continuations = [("!?#" * length)[:length] for length in lengths]
        scores = tiny_model.score("a fox", continuations)
        assert [score.tokens for score in scores] == lengths
        assert scores[0].logprob == pytest.approx(one_by_one("a fox", continuations[0]), **CLOSE)

    def test_continuations_that_do_not_fit_together_are_scored_in_turn(
        self, open_tiny: Callable[..., LlamaCppModel], tiny_model: LlamaCppModel
    ) -> None:
        small = open_tiny(context_length=256)
        assert small.capabilities.context_length == 256
        prefix = "x" * 150
        continuations = [character * (40 + number) for number, character in enumerate("abcdefgh")]
        assert logprobs(small.score(prefix, continuations)) == pytest.approx(
            logprobs(tiny_model.score(prefix, continuations)), rel=3e-3
        )

    def test_the_last_cell_of_the_context_is_used(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        small = open_tiny(context_length=256)
        full = small.score("y" * 200, ["z" * 56, "w" * 56])
        assert [score.tokens for score in full] == [56, 56]
        with pytest.raises(ContextLengthError) as caught:
            small.score("y" * 200, ["z" * 57])
        assert (caught.value.tokens, caught.value.limit) == (257, 256)

    def test_a_prefix_longer_than_the_context_is_told_and_does_no_harm(
        self, open_tiny: Callable[..., LlamaCppModel], tiny_model: LlamaCppModel
    ) -> None:
        small = open_tiny(context_length=256)
        before = small.usage
        with pytest.raises(ContextLengthError, match=r"300 tokens.* 256") as caught:
            small.score("q" * 299, ["r"])
        assert (caught.value.tokens, caught.value.limit) == (300, 256)
        with pytest.raises(ContextLengthError):
            small.generate(question("q" * 299))
        assert small.usage == before
        assert logprobs(small.score(PREFIX, [" ship"])) == pytest.approx(
            logprobs(tiny_model.score(PREFIX, [" ship"])), **CLOSE
        )

    def test_an_error_of_the_engine_leaves_the_model_usable(
        self, open_tiny: Callable[..., LlamaCppModel], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = open_tiny()
        expected = logprobs(model.score(PREFIX, [" ship", " the wood"]))
        for call in (
            lambda: model.score(PREFIX + " and", [" ship", " the wood"]),
            lambda: model.generate(question(), max_tokens=5),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(model._context.llama_cpp, "llama_decode", lambda *_: -3)
                with pytest.raises(ModelError, match=r"code -3.*LLMREC_CONTEXT_LENGTH"):
                    call()
            assert logprobs(model.score(PREFIX, [" ship", " the wood"])) == pytest.approx(expected, **CLOSE)

    @pytest.mark.parametrize("moment", [1, 3])
    def test_an_interruption_between_batches_leaves_the_model_usable(
        self, open_tiny: Callable[..., LlamaCppModel], monkeypatch: pytest.MonkeyPatch, moment: int
    ) -> None:
        model = open_tiny()
        expected = logprobs(model.score(PREFIX, [" ship", "!" * 300]))
        decode, calls = model._context.llama_cpp.llama_decode, []

        def interrupted(*arguments: object) -> int:
            calls.append(decode(*arguments))
            if len(calls) == moment:
                raise KeyboardInterrupt
            return calls[-1]

        with monkeypatch.context() as patched:
            patched.setattr(model._context.llama_cpp, "llama_decode", interrupted)
            with pytest.raises(KeyboardInterrupt):
                model.score("another prefix", [" ship", "!" * 700])
        assert logprobs(model.score(PREFIX, [" ship", "!" * 300])) == pytest.approx(expected, **CLOSE)

    def test_an_empty_prefix_begins_with_the_models_first_token(self, tiny_model: LlamaCppModel) -> None:
        empty, after_space = (tiny_model.score(prefix, [" the fox"])[0] for prefix in ("", " "))
        assert empty.tokens == 2
        assert math.isfinite(empty.logprob)
        assert empty.logprob != pytest.approx(after_space.logprob, abs=0.01)

    def test_an_empty_continuation_is_certain(self, tiny_model: LlamaCppModel) -> None:
        nothing, ship = tiny_model.score(PREFIX, ["", " ship"])
        assert nothing == Score(logprob=0.0, tokens=0)
        assert ship.logprob == pytest.approx(tiny_model.score(PREFIX, [" ship"])[0].logprob, **CLOSE)
        assert tiny_model.score(PREFIX, [""]) == [nothing]

    def test_a_prefix_is_evaluated_once(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny()
        model.score(PREFIX, ["ab"])
        first = model.usage
        model.score(PREFIX, ["cd"])
        second = model.usage - first
        assert first.calls == second.calls == 1
        assert first.prompt_tokens > 15
        assert second.prompt_tokens == 1

    def test_control_tokens_in_texts_are_plain_characters(self, tiny_model: LlamaCppModel) -> None:
        (score,) = tiny_model.score("the <|im_end|> fox", ["<|im_start|>"])
        assert score.tokens == len("<|im_start|>")
        tokens = tiny_model._vocabulary.tokenize("<|im_start|>")
        assert b"".join(map(tiny_model._vocabulary.bytes_of, tokens)) == b"<|im_start|>"
        assert len(tiny_model._vocabulary.tokenize("<|im_start|>", special=True)) == 1

    def test_halves_of_surrogate_pairs_do_not_break_it(self, tiny_model: LlamaCppModel) -> None:
        assert math.isfinite(tiny_model.score("the \ud83d fox", [" \udc00 owl"])[0].logprob)

    def test_nothing_can_be_scored_without_a_token_to_begin_with(
        self, open_tiny: Callable[..., LlamaCppModel], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = open_tiny()
        monkeypatch.setattr(model._vocabulary, "first", -1)
        with pytest.raises(ModelError, match="give a prefix that is not empty"):
            model.score("", [" ship"])


TRUNK = "the fox asked the owl about the ship, and nothing followed. " * 4
FAMILIES = {
    "a long trunk": [TRUNK + end for end in ("", "the owl", "the fox", "the fox sank", "!")],
    "beginnings of one another": [TRUNK[:end] for end in (1, 2, 40, 41, 100, len(TRUNK))],
    "equal": [TRUNK] * 3 + ["a"] * 2,
    "nothing shared": ["the ship", "a fox", "!", "电影", "x" * 150],
    "mixed": [TRUNK, "the", TRUNK + "x", "a fox", TRUNK, "", "the fox", TRUNK[:70] + "!" * 99],
    "one": [TRUNK],
}
ENDS = [" the wood", " nothing", "电影", "", " ship ship ship", "!", " the wood", "\n- the ship sank"]


class Decodes:
    """Counts the calls to llama_decode and their rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import llama_cpp

        decode = llama_cpp.llama_decode
        self.rows: list[int] = []

        def counted(context: object, batch: Any) -> int:
            self.rows.append(batch.n_tokens)
            return int(decode(context, batch))

        monkeypatch.setattr(llama_cpp, "llama_decode", counted)

    def during(self, work: Callable[[], object]) -> tuple[int, int]:
        """How many calls some work takes, and their rows in all."""
        self.rows.clear()
        work()
        return len(self.rows), sum(self.rows)


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Decodes:
    return Decodes(monkeypatch)


class TestScorePrefixes:
    @pytest.mark.parametrize("prefixes", FAMILIES.values(), ids=FAMILIES)
    def test_it_is_what_each_prefix_gives_by_itself(
        self,
        open_tiny: Callable[..., LlamaCppModel],
        one_by_one: Callable[[str, str], float],
        prefixes: list[str],
    ) -> None:
        model = open_tiny()
        together = model.score_prefixes(prefixes, ENDS)
        for prefix, scores in zip(prefixes, together, strict=True):
            alone = model.score(prefix, ENDS)
            assert [score.tokens for score in scores] == [score.tokens for score in alone]
            assert logprobs(scores) == pytest.approx(logprobs(alone), **CLOSE)
            if prefix:
                assert logprobs(scores) == pytest.approx([one_by_one(prefix, end) for end in ENDS], **CLOSE)

    @pytest.mark.parametrize("prefixes", FAMILIES.values(), ids=FAMILIES)
    def test_their_order_and_that_of_the_ends_do_not_matter(
        self, open_tiny: Callable[..., LlamaCppModel], prefixes: list[str]
    ) -> None:
        expected = open_tiny().score_prefixes(prefixes, ENDS)
        order = random.Random(3).sample(range(len(prefixes)), len(prefixes))
        found = open_tiny().score_prefixes([prefixes[place] for place in order], ENDS[::-1])
        for place, scores in zip(order, found, strict=True):
            assert logprobs(scores[::-1]) == pytest.approx(logprobs(expected[place]), **CLOSE)

    def test_prompts_over_one_trunk_are_read_in_fewer_evaluations(
        self, open_tiny: Callable[..., LlamaCppModel], decodes: Decodes
    ) -> None:
        prefixes = [f"{TRUNK}subject {number}" for number in range(8)]
        together, in_turn = (open_tiny(prefix_megabytes=0) for _ in range(2))
        calls, rows = decodes.during(lambda: together.score_prefixes(prefixes, [" ship", " fox"]))
        more_calls, more_rows = decodes.during(
            lambda: [in_turn.score(prefix, [" ship", " fox"]) for prefix in prefixes]
        )
        assert calls <= 3
        assert more_calls >= len(prefixes)
        assert rows <= more_rows + len(prefixes)
        assert together.usage.prompt_tokens == rows
        assert (together.usage.calls, in_turn.usage.calls) == (1, len(prefixes))

    def test_equal_prefixes_are_read_once(
        self, open_tiny: Callable[..., LlamaCppModel], decodes: Decodes
    ) -> None:
        one, many = open_tiny(), open_tiny()
        once = decodes.during(lambda: one.score(TRUNK, [" ship", "!!"]))
        again = decodes.during(lambda: many.score_prefixes([TRUNK] * 5, [" ship", "!!"]))
        assert again == once

    def test_unlike_prefixes_take_no_more_than_in_turn(
        self, open_tiny: Callable[..., LlamaCppModel], decodes: Decodes
    ) -> None:
        prefixes = [f"{number} {TRUNK}" for number in (3, 1, 2)]
        together, in_turn = open_tiny(), open_tiny()
        rows = decodes.during(lambda: together.score_prefixes(prefixes, ENDS))[1]
        assert rows <= decodes.during(lambda: [in_turn.score(prefix, ENDS) for prefix in prefixes])[1]

    def test_nothing_to_score(self, tiny_model: LlamaCppModel) -> None:
        assert tiny_model.score_prefixes([], [" ship"]) == []
        assert tiny_model.score_prefixes([TRUNK, "a"], []) == [[], []]
        nothing = Score(logprob=0.0, tokens=0)
        assert tiny_model.score_prefixes([TRUNK, "a"], ["", ""]) == [[nothing] * 2] * 2

    def test_the_longest_prefix_must_fit_and_tells_so_before_any_work(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        small = open_tiny(context_length=256)
        with pytest.raises(ContextLengthError) as caught:
            small.score_prefixes(["a fox", "y" * 250, "b"], [" ship", "z" * 7])
        assert (caught.value.tokens, caught.value.limit) == (257, 256)
        assert small.usage.calls == small.usage.prompt_tokens == 0
        full = small.score_prefixes(["y" * 250, "y" * 200, "y" * 249], ["z" * 6, "w"])
        for prefix, scores in zip(("y" * 250, "y" * 200, "y" * 249), full, strict=True):
            assert logprobs(scores) == pytest.approx(logprobs(small.score(prefix, ["z" * 6, "w"])), **CLOSE)

    def test_score_prefixes_of_any_model_asks_this_one_once(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny()
        score_prefixes(model, FAMILIES["mixed"], ENDS)
        assert model.usage.calls == 1

    def test_after_cancelling_all_is_right(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny()
        expected = model.score_prefixes(FAMILIES["mixed"], ENDS)
        cancelled = 0
        for number in range(8):
            cancellation = Cancellation()
            timer = threading.Timer(0.003 * number, cancellation.cancel)
            timer.start()
            prefixes = [f"{number} {place} {TRUNK}" for place in range(20)]
            try:
                model.score_prefixes(prefixes, [end * 9 for end in ENDS], cancellation=cancellation)
            except CallCancelledError:
                cancelled += 1
            timer.join()
            found = model.score_prefixes(FAMILIES["mixed"], ENDS)
            for scores, right in zip(found, expected, strict=True):
                assert logprobs(scores) == pytest.approx(logprobs(right), **CLOSE)
        assert cancelled


class TestReuse:
    PEOPLE = tuple(f"Person {number} liked {number * 7}. {TRUNK}" for number in range(3))

    def test_a_second_ranking_pays_for_new_tokens_only(
        self, open_tiny: Callable[..., LlamaCppModel], one_by_one: Callable[[str, str], float]
    ) -> None:
        model = open_tiny()
        for person in self.PEOPLE:
            model.score(person, [" ship"])
        for person in self.PEOPLE:
            before = model.usage
            scores = model.score(person, [" ship", "abcd"])
            assert (model.usage - before).prompt_tokens == 3
            assert logprobs(scores) == pytest.approx(
                [one_by_one(person, " ship"), one_by_one(person, "abcd")], **CLOSE
            )

    def test_without_memory_for_it_all_is_read_again(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny(prefix_megabytes=0)
        for person in self.PEOPLE:
            model.score(person, [" ship"])
        before = model.usage
        model.score(self.PEOPLE[0], [" ship"])
        assert (model.usage - before).prompt_tokens > len(TRUNK) / 4

    def test_a_prefix_that_an_answer_went_on_from_is_gone_back_to(
        self, open_tiny: Callable[..., LlamaCppModel], one_by_one: Callable[[str, str], float]
    ) -> None:
        """What is held then is the prefix and more, and a state of just the prefix is kept."""
        model = open_tiny()
        for person in (self.PEOPLE[0], self.PEOPLE[1], self.PEOPLE[0] + "!" * 99, self.PEOPLE[0]):
            scores = model.score(person, [" ship"])
            assert logprobs(scores) == pytest.approx([one_by_one(person, " ship")], **CLOSE)

    def test_a_folder_serves_the_next_process(
        self, open_tiny: Callable[..., LlamaCppModel], tmp_path: Path
    ) -> None:
        first = open_tiny(prefix_folder=tmp_path / "states", prefix_megabytes=0)
        expected = [logprobs(first.score(person, [" ship"])) for person in self.PEOPLE]
        first.close()
        later = open_tiny(prefix_folder=tmp_path / "states", prefix_megabytes=0)
        for person, scores in zip(self.PEOPLE, expected, strict=True):
            assert logprobs(later.score(person, [" ship"])) == pytest.approx(scores, **CLOSE)
        assert later.usage.prompt_tokens <= len(self.PEOPLE)

    def test_a_damaged_file_costs_only_its_memory(
        self, open_tiny: Callable[..., LlamaCppModel], tmp_path: Path
    ) -> None:
        first = open_tiny(prefix_folder=tmp_path)
        expected = logprobs(first.score(self.PEOPLE[0], [" ship"]))
        first.close()
        (file,) = tmp_path.iterdir()
        content = bytearray(file.read_bytes())
        for place in (3, len(content) // 2, len(content) - 1):
            damaged = content.copy()
            damaged[place] ^= 255
            file.write_bytes(damaged)
            later = open_tiny(prefix_folder=tmp_path)
            assert logprobs(later.score(self.PEOPLE[0], [" ship"])) == pytest.approx(expected, **CLOSE)
            later.close()


class TestForgetPrefixes:
    PEOPLE = TestReuse.PEOPLE

    def test_all_is_read_again_and_the_scores_stay(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny()
        expected = [logprobs(model.score(person, [" ship"])) for person in self.PEOPLE]
        cost = model.usage.prompt_tokens
        assert model.forget_prefixes() == len(self.PEOPLE)
        assert model.forget_prefixes() == 0
        before = model.usage
        for person, scores in zip(self.PEOPLE, expected, strict=True):
            assert logprobs(model.score(person, [" ship"])) == pytest.approx(scores, **CLOSE)
        assert (model.usage - before).prompt_tokens == cost

    def test_files_go_and_closing_writes_none(
        self, open_tiny: Callable[..., LlamaCppModel], tmp_path: Path
    ) -> None:
        (tmp_path / "of-another-model.prefix").write_bytes(b"x")
        model = open_tiny(prefix_folder=tmp_path, prefix_megabytes=0)
        for person in self.PEOPLE:
            model.score(person, [" ship"])
        files = len(list(tmp_path.glob("*.prefix")))
        assert files > 1
        assert model.forget_prefixes() == files + 1
        model.close()
        assert list(tmp_path.glob("*.prefix")) == []

    def test_through_the_cache_of_answers(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny()
        model.score(self.PEOPLE[0], [" ship"])
        with contextlib.closing(ModelCallCache()) as cache:
            assert forget_prefixes(CachedModel(CachedModel(model, cache), cache)) == 1
        assert forget_prefixes(model) == 0

    @pytest.mark.parametrize("ends", ["closes", "reads on"])
    def test_another_process_does_not_write_it_again(
        self, open_tiny: Callable[..., LlamaCppModel], tmp_path: Path, ends: str
    ) -> None:
        other = open_tiny(prefix_folder=tmp_path)
        expected = [logprobs(other.score(person, [" ship"])) for person in self.PEOPLE]
        open_tiny(prefix_folder=tmp_path).forget_prefixes()
        if ends == "reads on":
            before = other.usage
            assert logprobs(other.score(self.PEOPLE[1], [" ship"])) == pytest.approx(expected[1], **CLOSE)
            assert (other.usage - before).prompt_tokens > len(TRUNK) / 4
            assert other.forget_prefixes() == 1
        other.close()
        assert list(tmp_path.glob("*.prefix")) == []

    def test_in_the_middle_of_an_answer_the_answer_stays_the_same(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny()
        plain = model.generate(question(), max_tokens=30)
        forgotten: list[int] = []
        answer = model.generate(
            question(), max_tokens=30, on_text=lambda _: forgotten.append(model.forget_prefixes())
        )
        assert answer.text == plain.text
        assert sum(forgotten) > 0

    def test_it_waits_for_the_call_of_another_thread(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny()
        begun, go_on = threading.Event(), threading.Event()
        done: list[str] = []

        def on_text(_: str) -> None:
            begun.set()
            go_on.wait(10)

        def answer() -> None:
            model.generate(question(), max_tokens=30, on_text=on_text)
            done.append("answer")

        answering = threading.Thread(target=answer)
        answering.start()
        assert begun.wait(10)
        forgetting = threading.Thread(target=lambda: done.append(f"forgot {model.forget_prefixes()}"))
        forgetting.start()
        forgetting.join(0.1)
        assert forgetting.is_alive()
        go_on.set()
        for thread in (answering, forgetting):
            thread.join(20)
        assert done == ["answer", "forgot 1"] or done == ["forgot 1", "answer"]
        assert forget_prefixes(model) == 0

    def test_a_closed_model_still_forgets_its_files(
        self, open_tiny: Callable[..., LlamaCppModel], tmp_path: Path
    ) -> None:
        model = open_tiny(prefix_folder=tmp_path)
        model.score(self.PEOPLE[0], [" ship"])
        model.close()
        assert len(list(tmp_path.glob("*.prefix"))) == 1
        assert model.forget_prefixes() == 1
        assert list(tmp_path.glob("*.prefix")) == []


class TestThreads:
    def test_many_threads_get_what_one_gets(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny()
        prefixes = [f"{PREFIX} {number}" for number in range(6)]
        scores = {prefix: logprobs(model.score(prefix, [" ship", " wood"])) for prefix in prefixes}
        answers = {p: model.generate(question(p), max_tokens=8, temperature=1, seed=4).text for p in prefixes}

        def work(number: int) -> None:
            prefix = prefixes[number % len(prefixes)]
            if number % 2:
                answer = model.generate(question(prefix), max_tokens=8, temperature=1, seed=4)
                assert answer.text == answers[prefix]
                assert answer.usage.calls == 1
                assert answer.usage.completion_tokens <= 8
            else:
                assert logprobs(model.score(prefix, [" ship", " wood"])) == pytest.approx(
                    scores[prefix], **CLOSE
                )

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(60)))
        assert model.usage.calls == 12 + 60

    def test_closing_while_another_thread_asks_ends_in_an_error_of_ours(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny()

        def ask() -> None:
            for _ in range(10_000):
                model.score(PREFIX, [" ship", "!" * 50])

        with ThreadPoolExecutor(2) as pool:
            asking = [pool.submit(ask) for _ in range(2)]
            model.score("the", [" fox"])
            model.close()
            for task in asking:
                with pytest.raises(ModelError, match="was closed: open it again"):
                    task.result()


class TestCallsWithinCalls:
    def test_what_on_text_asks_for_is_no_cost_of_the_answer(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny()
        expected = model.generate(question(), max_tokens=6)
        before = model.usage

        def ask(_: str) -> None:
            model.score("the owl asked the fox about", [" the ship", "!"])

        answer = model.generate(question(), max_tokens=6, on_text=ask)
        assert answer.text == expected.text
        assert answer.usage.calls == 1
        assert answer.usage.completion_tokens == 6
        spent = model.usage - before
        assert spent.calls > 2
        assert spent.completion_tokens == 6

    def test_the_cancellation_of_a_call_outlives_the_calls_within_it(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny()
        outer, inner, told = Cancellation(), Cancellation(), []

        def ask(piece: str) -> None:
            told.append(piece)
            model.score("the owl", [" ship"], cancellation=inner)
            outer.cancel()
            with pytest.raises(CallCancelledError):
                model.score("the owl asked", [" the ship"])

        answer = model.generate(question(), max_tokens=50, on_text=ask, cancellation=outer)
        assert answer.finish_reason == "cancelled"
        assert told == [answer.text]
        assert model.generate(question(), max_tokens=3).finish_reason == "length"

    def test_another_cancellation_within_on_text_is_no_end_of_the_answer(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model, inner = open_tiny(), Cancellation()
        inner.cancel()
        with pytest.raises(CallCancelledError):
            model.generate(
                question(),
                max_tokens=5,
                on_text=lambda _: model.score("a", ["b"], cancellation=inner),
                cancellation=Cancellation(),
            )


class TestLifeCycle:
    def test_a_closed_model_cuts_no_texts(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        model = open_tiny()
        assert model.tokenize(" ship")
        model.close()
        with pytest.raises(ModelError, match="was closed: open it again"):
            model.tokenize(" ship")

    def test_two_models_live_side_by_side(self, open_tiny: Callable[..., LlamaCppModel]) -> None:
        one, two = open_tiny(), open_tiny()
        expected = logprobs(one.score(PREFIX, [" ship"]))
        two.score("another", [" fox"])
        one.close()
        assert logprobs(two.score(PREFIX, [" ship"])) == pytest.approx(expected, **CLOSE)

    def test_a_model_nobody_holds_is_freed(self, tiny_gguf: Path) -> None:
        model = LlamaCppModel(tiny_gguf, threads=1, context_length=256)
        released, gone = model._context._release, weakref.ref(model)
        del model
        gc.collect()
        assert gone() is None
        assert not released.alive

    def test_the_context_is_no_longer_than_the_model_was_trained_for(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        assert open_tiny(context_length=10 * TRAINED_CONTEXT).capabilities.context_length == TRAINED_CONTEXT

    def test_what_a_model_is_called_and_can_do(
        self, open_tiny: Callable[..., LlamaCppModel], tmp_path: Path
    ) -> None:
        model, named = open_tiny(), open_tiny(name="mine", open_answers=True)
        assert (model.name, named.name) == ("llama-cpp:tiny.gguf", "mine")
        assert not model.capabilities.open_answers
        assert named.capabilities.open_answers
        assert model.capabilities.structured == "json_schema"
        other = LlamaCppModel(write_tiny_gguf(tmp_path / "tiny.gguf", seed=1), threads=1)
        assert model.fingerprint == named.fingerprint != other.fingerprint
        assert open_tiny(context_length=512).fingerprint != model.fingerprint
        other.close()


class TestDamagedModels:
    def test_a_model_without_numbers_is_refused(self, tmp_path: Path) -> None:
        model = LlamaCppModel(write_tiny_gguf(tmp_path / "nan.gguf", nan=True), threads=1)
        for call in (
            lambda: model.score(PREFIX, [" ship"]),
            lambda: model.generate(question(), max_tokens=2),
        ):
            with pytest.raises(ModelError, match=r"computes no numbers.*fetch it again"):
                call()
        model.close()

    def test_a_context_that_cannot_be_made_is_told(
        self, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import llama_cpp

        monkeypatch.setattr(llama_cpp, "llama_init_from_model", lambda *_: None)
        with pytest.raises(ModelError, match=r"context of 2048 tokens.*LLMREC_CONTEXT_LENGTH"):
            LlamaCppModel(tiny_gguf)

    def test_a_model_without_memory_is_refused(
        self, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import llama_cpp

        monkeypatch.setattr(llama_cpp, "llama_get_memory", lambda *_: None)
        with pytest.raises(ModelError, match="only embed"):
            LlamaCppModel(tiny_gguf)


@pytest.mark.embedded
class TestEmbeddedScores:
    def test_the_company_of_other_continuations_moves_a_score_by_noise_alone(
        self, embedded_model: LanguageModel
    ) -> None:
        prefix = "Things this person chose and liked:\n- Blade Runner (Science fiction)\n- Dune\n-"
        continuations = [" The Matrix", " A cookery book", " Notting Hill", " Alien (Science fiction)"]
        alone = [embedded_model.score(prefix, [continuation])[0] for continuation in continuations]
        crowd = [f" Something else, number {number}" for number in range(70)]
        together = embedded_model.score(prefix, [*crowd[:35], *continuations[::-1], *crowd[35:]])[35:39][::-1]
        assert [score.tokens for score in alone] == [score.tokens for score in together]
        assert logprobs(together) == pytest.approx(logprobs(alone), abs=BATCH_NOISE)
        assert logprobs(alone)[3] / alone[3].tokens > logprobs(alone)[1] / alone[1].tokens

    def test_company_moves_long_texts_by_noise_alone_too(self, embedded_model: LanguageModel) -> None:
        letters = list("科幻电影小说悬疑恐怖爱情历史战争冒险动画纪录音乐家庭犯罪")
        random = np.random.default_rng(0)
        texts = ["\n- " + "".join(random.choice(letters, 22)) for _ in range(12)]
        prefix = "Things this person chose and liked:\n" + "- A quiet film about the sea (Drama)\n" * 30
        together = embedded_model.score(prefix, texts)
        assert min(score.tokens for score in together) > 35
        alone = [embedded_model.score(prefix, [text])[0] for text in texts]
        assert logprobs(together) == pytest.approx(logprobs(alone), abs=BATCH_NOISE)

    def test_a_prefix_is_evaluated_once(self, embedded_model: LanguageModel) -> None:
        prefix = "A person likes quiet science fiction and long books. " * 10
        embedded_model.score(prefix, [" Solaris"])
        before = embedded_model.usage
        embedded_model.score(prefix, [" Stalker"])
        assert (embedded_model.usage - before).prompt_tokens <= 4
