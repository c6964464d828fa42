"""The local engine with continuations that begin alike, are many, or do not fit: each scores as if alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec.errors import ContextLengthError
from llmrec.llm.base import LanguageModel, Message, score_prefixes
from tests.llm.one_by_one import OneByOne, logprobs, near

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from llmrec.llm.llama_cpp import LlamaCppModel

PREFIX = "the fox asked the owl about the ship"
SERIES = "\n- The Lord of the Rings: "
TITLES = [
    "The Fellowship of the Ring",
    "The Two Towers",
    "The Return of the King",
    "The Two Towers (extended)",
]

# Few pieces, some of many tokens, so that texts begin alike, end alike, and go on where others end.
PIECES = ("a", "b", " the", " ship", SERIES, "电影", "\n")
TEXTS = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
PREFIXES = st.lists(st.sampled_from((*PIECES, "the fox asked" * 4)), max_size=5).map("".join)


@pytest.fixture(scope="module")
def alone(tiny_gguf: Path, alone_in: Callable[[Path], OneByOne]) -> OneByOne:
    return alone_in(tiny_gguf)


class TestSharedBeginnings:
    # The model stays open from one example to the next: what it kept of one must not show in another.
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(prefix=PREFIXES, continuations=st.lists(TEXTS, max_size=12))
    def test_every_score_is_that_of_the_text_alone(
        self, tiny_model: LanguageModel, alone: OneByOne, prefix: str, continuations: list[str]
    ) -> None:
        _compare(tiny_model, alone, prefix, continuations)

    @pytest.mark.parametrize("kind", ["gemma3", "mamba", "lfm2", "qwen35"])
    def test_so_it_is_with_models_of_other_kinds(
        self,
        kind: str,
        gguf_of: Callable[..., Path],
        alone_in: Callable[[Path], OneByOne],
        open_tiny: Callable[..., LlamaCppModel],
    ) -> None:
        path = gguf_of(architecture=kind)
        model, reference = open_tiny(path), alone_in(path)

        @settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
        @given(prefix=PREFIXES, continuations=st.lists(TEXTS, max_size=12))
        def compare(prefix: str, continuations: list[str]) -> None:
            _compare(model, reference, prefix, continuations)

        compare()

    @settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
    @given(prefixes=st.lists(PREFIXES, max_size=4), continuations=st.lists(TEXTS, max_size=6))
    def test_so_it_is_with_several_prefixes_at_once(
        self, tiny_model: LanguageModel, alone: OneByOne, prefixes: list[str], continuations: list[str]
    ) -> None:
        found = score_prefixes(tiny_model, prefixes, continuations)
        assert len(found) == len(prefixes)
        for prefix, scores in zip(prefixes, found, strict=True):
            expected = [alone.score(prefix, text) for text in continuations]
            assert logprobs(scores) == near(expected), prefix

    def test_a_series_of_titles(self, tiny_model: LanguageModel, alone: OneByOne) -> None:
        _compare(tiny_model, alone, PREFIX, [SERIES + title for title in TITLES])
        # One text is the beginning of the next, and some are there twice.
        steps = [(SERIES + TITLES[3])[:end] for end in range(0, len(SERIES + TITLES[3]) + 1, 3)]
        _compare(tiny_model, alone, PREFIX, [*steps, *steps[::-1], *steps[3:5]])

    def test_a_beginning_as_long_as_a_batch(self, tiny_model: LanguageModel, alone: OneByOne) -> None:
        for length in (511, 513, 700):
            shared = ("!?#" * length)[:length]
            _compare(tiny_model, alone, "the", [shared + end for end in ("", "a", "ab", "c" * 40)])

    def test_beginnings_shared_within_beginnings(self, tiny_model: LanguageModel, alone: OneByOne) -> None:
        tree = [
            a + b + c + d for a in "xy" for b in ("1" * 9, "2") for c in "pqr" for d in ("", "!", "!!!!!!")
        ]
        _compare(tiny_model, alone, PREFIX, tree)
        _compare(tiny_model, alone, PREFIX, tree[::-1])

    def test_equal_texts_are_not_evaluated_once_each(self, tiny_gguf: Path) -> None:
        model = LlamaCppModel(tiny_gguf, threads=1)
        try:
            model.score(PREFIX, [""])
            model.score(PREFIX, ["z"])
            before = model.usage
            model.score(PREFIX, ["ab" * 20] * 30)
            assert 39 <= (model.usage - before).prompt_tokens < 30 * 39 / 2
        finally:
            model.close()


class TestMany:
    def test_five_thousand_continuations(self, tiny_model: LanguageModel, alone: OneByOne) -> None:
        texts = [f"\n- {number % 2500}{' ship' * (number % 3)}" for number in range(5000)]
        scores = tiny_model.score(PREFIX, texts)
        assert len(scores) == len(texts)
        for number in range(0, 5000, 167):
            assert scores[number].logprob == near(alone.score(PREFIX, texts[number]))
            assert scores[number].tokens == len(alone.tokens(texts[number]))

    def test_a_generator_and_a_tuple_serve_as_well_as_a_list(self, tiny_model: LanguageModel) -> None:
        expected = logprobs(tiny_model.score(PREFIX, [" ship", " fox"]))
        assert logprobs(tiny_model.score(PREFIX, (" ship", " fox"))) == near(expected)

    def test_many_continuations_where_little_room_is_left(
        self, tiny_gguf: Path, open_tiny: Callable[..., LlamaCppModel], alone: OneByOne
    ) -> None:
        small = open_tiny(tiny_gguf, context_length=256)
        texts = [f"{number:03d}{'!' * (number % 17)}" for number in range(70)]
        _compare(small, alone, "x" * 236, texts)
        # One cell is left, and then none: the first token of a text needs none.
        _compare(small, alone, "x" * 254, ["ab", "cd", "a", "", "ef"])
        _compare(small, alone, "x" * 255, ["a", "b", "", "c"])
        _compare(small, alone, "x" * 256, ["", ""])


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(("prefix", "longest"), [(1, 300), (200, 57), (256, 1), (255, 2), (400, 1)])
    def test_it_is_told_and_nothing_is_lost(
        self, open_tiny: Callable[..., LlamaCppModel], alone: OneByOne, prefix: int, longest: int
    ) -> None:
        small = open_tiny(context_length=256)
        _compare(small, alone, PREFIX, [" ship"])
        before = small.usage
        with pytest.raises(ContextLengthError, match=r"256.*LLMREC_CONTEXT_LENGTH") as caught:
            small.score("x" * prefix, ["a", "b" * longest, "c"])
        assert (caught.value.tokens, caught.value.limit) == (prefix + longest, 256)
        assert small.usage == before
        _compare(small, alone, PREFIX, [" ship"])

    def test_a_prefix_longer_than_the_context_is_told_also_without_continuations_that_count(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        small = open_tiny(context_length=256)
        with pytest.raises(ContextLengthError):
            small.score("x" * 300, [""])

    def test_a_context_that_fits_no_batch(
        self, open_tiny: Callable[..., LlamaCppModel], alone: OneByOne
    ) -> None:
        tight = open_tiny(context_length=64)
        limit = tight.capabilities.context_length
        assert limit == 64
        _compare(tight, alone, "x" * 30, ["a" * 34, "b" * 34, "ab"])
        with pytest.raises(ContextLengthError):
            tight.score("x" * 30, ["a" * 35])
        with pytest.raises(ContextLengthError):
            tight.generate([Message(role="user", content="x" * 64)])


def _compare(model: LanguageModel, alone: OneByOne, prefix: str, continuations: list[str]) -> None:
    scores = model.score(prefix, continuations)
    assert [score.tokens for score in scores] == [len(alone.tokens(text)) for text in continuations]
    expected = [alone.score(prefix, text) for text in continuations]
    assert logprobs(scores) == near(expected)
    assert all(score.logprob <= 0 for score in scores)
