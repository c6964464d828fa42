"""GGUF models as embedders: a tiny BERT, a tiny llama, and the embedded language model."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrec.errors import InputError, ModelError
from llmrec.llm.embedder import FloatMatrix
from tests.llm.embedder_contract import LEAST_COSINE, TEXTS, EmbedderContract, cosines
from tests.llm.tiny_bert_gguf import (
    FIRST,
    LAST,
    TRAINED_CONTEXT,
    WIDTH,
    encode,
    random_weights,
    token_numbers,
    write_tiny_bert_gguf,
)
from tests.llm.tiny_gguf import write_tiny_gguf

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from llmrec.llm import llama_embedder
from llmrec.llm.llama_cpp import LlamaCppModel
from llmrec.llm.llama_embedder import LlamaCppEmbedder

# The texts and their pieces, as a wordpiece tokenizer cuts them: lower case, the longest piece first.
PIECES = {
    "the fox followed the owl": ["the", "fox", "follow", "##ed", "the", "owl"],
    "The SHIP, the wood.": ["the", "ship", ",", "the", "wood", "."],
    "电影 story": ["电", "影", "story"],
    "óx": ["o", "##x"],
    "a [SEP] b": ["a", "[", "s", "##e", "##p", "]", "b"],
    "the 烹 fox": ["the", "[UNK]", "fox"],
}
WARNING = "is longer than the"


@pytest.fixture(scope="module")
def bert_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert_gguf(tmp_path_factory.mktemp("tiny") / "bert.gguf")


@pytest.fixture
def opened() -> Iterator[Callable[..., LlamaCppEmbedder]]:
    """Opens embedders that end with the test."""
    embedders: list[LlamaCppEmbedder] = []

    def open_embedder(path: Path, **options: Any) -> LlamaCppEmbedder:
        embedders.append(LlamaCppEmbedder(path, **{"threads": 1, **options}))
        return embedders[-1]

    yield open_embedder
    for embedder in embedders:
        embedder.close()


class TestTinyBertContract(EmbedderContract):
    @pytest.fixture
    def embedder(self, opened: Callable[..., LlamaCppEmbedder], bert_gguf: Path) -> LlamaCppEmbedder:
        return opened(bert_gguf)


class TestTinyLlamaContract(EmbedderContract):
    """A language model whose file tells no pooling."""

    @pytest.fixture
    def embedder(self, opened: Callable[..., LlamaCppEmbedder], tiny_gguf: Path) -> LlamaCppEmbedder:
        return opened(tiny_gguf)


class TestTinyLastContract(EmbedderContract):
    """A language model with a first token, of whose tokens the last is taken."""

    @pytest.fixture
    def embedder(self, opened: Callable[..., LlamaCppEmbedder], pieces_gguf: Path) -> LlamaCppEmbedder:
        return opened(pieces_gguf, pooling="last")


@pytest.fixture(scope="module")
def embedded_embedder(prepared_gguf: Path) -> Iterator[LlamaCppEmbedder]:
    embedder = LlamaCppEmbedder(prepared_gguf, threads=1)
    yield embedder
    embedder.close()


@pytest.mark.embedded
class TestEmbeddedContract(EmbedderContract):
    knows_english = False  # it has read much, but nobody taught it to embed

    @pytest.fixture
    def embedder(self, embedded_embedder: LlamaCppEmbedder) -> LlamaCppEmbedder:
        return embedded_embedder

    @pytest.fixture
    def embedder_to_close(self, prepared_gguf: Path) -> LlamaCppEmbedder:
        return LlamaCppEmbedder(prepared_gguf, threads=1, context_length=256)


@pytest.mark.embedded
def test_what_a_language_model_finds_close(embedded_embedder: LlamaCppEmbedder) -> None:
    """Something of meaning, among texts that all lie near each other: a stopgap, as the docs say."""
    film, movie, cookbook, recipes = embedded_embedder.embed(
        ["science fiction film", "space movie", "cookbook", "vegetarian recipes"]
    )
    assert film @ movie > film @ cookbook + 0.02
    assert film @ movie > film @ recipes
    assert film @ cookbook > 0.7


class TestEncoder:
    @pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
    @pytest.mark.parametrize("says_direction", [True, False])
    def test_it_computes_what_the_book_says(
        self, opened: Callable[..., LlamaCppEmbedder], tmp_path: Path, pooling: Any, says_direction: bool
    ) -> None:
        path = write_tiny_bert_gguf(tmp_path / "bert.gguf", pooling=pooling, says_direction=says_direction)
        embedder = opened(path)
        assert embedder.pooling == pooling
        vectors = embedder.embed(list(PIECES))
        weights = random_weights()
        for vector, pieces in zip(vectors, PIECES.values(), strict=True):
            assert vector @ encode(weights, token_numbers(pieces), pooling) > LEAST_COSINE

    @pytest.mark.parametrize("told", [None, "none"])
    def test_without_a_pooling_in_the_file_it_is_the_mean(
        self, opened: Callable[..., LlamaCppEmbedder], bert_gguf: Path, tmp_path: Path, told: Any
    ) -> None:
        silent = opened(write_tiny_bert_gguf(tmp_path / "bert.gguf", pooling=told))
        assert silent.pooling == "mean"
        assert silent.embed(TEXTS) == pytest.approx(opened(bert_gguf).embed(TEXTS), abs=1e-5)

    def test_the_callers_pooling_comes_before_the_files(
        self, opened: Callable[..., LlamaCppEmbedder], bert_gguf: Path
    ) -> None:
        text = "the fox followed the owl"
        (vector,) = opened(bert_gguf, pooling="cls").embed([text])
        assert vector @ encode(random_weights(), token_numbers(PIECES[text]), "cls") > LEAST_COSINE
        assert vector @ opened(bert_gguf).embed([text])[0] < 0.99

    @pytest.mark.parametrize("text", ["烹饪", "烹 饪", "烹饪 🎬"])
    def test_a_text_of_unknown_pieces_alone_has_no_vector(
        self, opened: Callable[..., LlamaCppEmbedder], bert_gguf: Path, text: str
    ) -> None:
        vectors = opened(bert_gguf).embed([text, "the", f"the {text}"])
        assert not vectors[0].any()
        assert 0.2 < vectors[1] @ vectors[2] < 0.999

    def test_a_text_longer_than_the_context_is_cut_between_its_special_tokens(
        self,
        opened: Callable[..., LlamaCppEmbedder],
        bert_gguf: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        embedder = opened(bert_gguf)
        assert embedder.context_length == TRAINED_CONTEXT
        longest = ["fox", "owl"] * ((TRAINED_CONTEXT - 2) // 2)
        assert token_numbers([]) == [FIRST, LAST]
        with caplog.at_level(logging.WARNING):
            (fits,) = embedder.embed([" ".join(longest)])
        assert not caplog.records
        assert fits @ encode(random_weights(), token_numbers(longest), "mean") > LEAST_COSINE
        with caplog.at_level(logging.WARNING):
            cut = embedder.embed([" ".join(longest) + " the" * extra for extra in (1, 2, 500)])
        assert (cut @ fits).min() > LEAST_COSINE
        (record,) = caplog.records
        assert f"a text of {TRAINED_CONTEXT + 1} tokens {WARNING} {TRAINED_CONTEXT}" in record.message

    def test_a_shorter_context_may_be_chosen(
        self, opened: Callable[..., LlamaCppEmbedder], bert_gguf: Path
    ) -> None:
        embedder = opened(bert_gguf, context_length=8)
        (vector,) = embedder.embed(["fox " * 50])
        assert vector @ encode(random_weights(), token_numbers(["fox"] * 6), "mean") > LEAST_COSINE

    def test_a_reranker_is_refused(self, tmp_path: Path) -> None:
        path = write_tiny_bert_gguf(tmp_path / "rank.gguf", pooling="rank")
        with pytest.raises(ModelError, match=r"holds a reranker.*give the GGUF of an embedding model"):
            LlamaCppEmbedder(path)

    def test_as_a_language_model_it_is_refused_and_sent_where_it_belongs(self, bert_gguf: Path) -> None:
        with pytest.raises(ModelError, match=r"only embed.*LLMREC_EMBEDDER=llama-cpp:PATH"):
            LlamaCppModel(bert_gguf)


def by_llama_cpp_python(path: Path, texts: list[str], pooling: int) -> FloatMatrix:
    """Embeds another way: llama-cpp-python's own class and llama.cpp's own pooling, one text at a time."""
    from llama_cpp import Llama

    sizes = {"n_ctx": 1024, "n_batch": 1024, "n_ubatch": 1024, "n_threads": 1}
    llama = Llama(str(path), embedding=True, pooling_type=pooling, verbose=False, **sizes)
    try:
        return np.array([llama.embed(text, normalize=True) for text in texts], dtype=np.float32)
    finally:
        llama.close()


class TestDecoder:
    @pytest.mark.parametrize(("pooling", "number"), [("mean", 1), ("cls", 2), ("last", 3)])
    def test_its_vectors_are_those_of_llama_cpp_python(
        self,
        opened: Callable[..., LlamaCppEmbedder],
        tiny_gguf: Path,
        pooling: Any,
        number: int,
    ) -> None:
        vectors = opened(tiny_gguf, pooling=pooling).embed(TEXTS)
        expected = by_llama_cpp_python(tiny_gguf, TEXTS, number)
        assert cosines(vectors, expected).min() > LEAST_COSINE

    @pytest.mark.parametrize("architecture", ["gemma3", "mamba", "jamba"])
    @pytest.mark.parametrize(("pooling", "number"), [("mean", 1), ("last", 3)])
    def test_windows_and_recurrent_layers_change_nothing(
        self,
        opened: Callable[..., LlamaCppEmbedder],
        tmp_path: Path,
        architecture: str,
        pooling: Any,
        number: int,
    ) -> None:
        path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture=architecture)
        embedder = opened(path, pooling=pooling)
        texts = [*TEXTS, "the owl and the fox " * 70]
        together = embedder.embed(texts)
        alone = np.concatenate([embedder.embed([text]) for text in texts])
        assert cosines(together, alone).min() > LEAST_COSINE
        assert cosines(together, by_llama_cpp_python(path, texts, number)).min() > LEAST_COSINE

    @pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
    def test_pieces_of_any_size_give_the_same(
        self,
        opened: Callable[..., LlamaCppEmbedder],
        tiny_gguf: Path,
        monkeypatch: pytest.MonkeyPatch,
        pooling: Any,
    ) -> None:
        texts = [*TEXTS, "the owl and the fox " * 60, "a ship of wood " * 100]
        whole = opened(tiny_gguf, pooling=pooling).embed(texts)
        for size in (llama_embedder.SEQUENCES, 100, 2048):
            monkeypatch.setattr(llama_embedder, "PIECE_TOKENS", size)
            found = opened(tiny_gguf, pooling=pooling).embed(texts)
            assert cosines(found, whole).min() > LEAST_COSINE

    def test_the_first_token_its_tokenizer_wants_is_there(
        self, opened: Callable[..., LlamaCppEmbedder], pieces_gguf: Path
    ) -> None:
        embedder = opened(pieces_gguf)
        assert embedder._tokens("the ship")[0] == 1
        # The vector of the first token is that of the same token of any text.
        firsts = opened(pieces_gguf, pooling="cls").embed(TEXTS)
        assert (firsts @ firsts.T).min() > LEAST_COSINE

    def test_a_long_text_is_cut_at_its_end(
        self,
        opened: Callable[..., LlamaCppEmbedder],
        pieces_gguf: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        embedder = opened(pieces_gguf, context_length=64)
        with caplog.at_level(logging.WARNING):
            one, other = embedder.embed([" the" * 70, " the" * 70 + " ship" * 70])
        assert one @ other > LEAST_COSINE
        assert len(caplog.records) == 1

    def test_a_text_may_fill_the_context(
        self, opened: Callable[..., LlamaCppEmbedder], tiny_gguf: Path
    ) -> None:
        embedder = opened(tiny_gguf, context_length=10**6)
        assert embedder.context_length == 2048
        assert np.linalg.norm(embedder.embed([" the" * 5000, " fox"]), axis=1) == pytest.approx(1.0, abs=1e-5)


class TestIdentity:
    def test_it_is_the_file_the_pooling_and_the_context(
        self, opened: Callable[..., LlamaCppEmbedder], bert_gguf: Path, tmp_path: Path
    ) -> None:
        embedder = opened(bert_gguf)
        assert embedder.name == "llama-cpp:bert.gguf"
        assert (embedder.dimensions, embedder.languages) == (WIDTH, ())
        named = opened(bert_gguf, name="mine", languages=["en", "zh"], threads=2, context_length=10**6)
        assert (named.name, named.languages) == ("mine", ("en", "zh"))
        assert named.fingerprint == embedder.fingerprint
        others = [
            opened(write_tiny_bert_gguf(tmp_path / "other.gguf", seed=1)),
            opened(bert_gguf, pooling="cls"),
            opened(bert_gguf, context_length=32),
        ]
        assert len({embedder.fingerprint, *(other.fingerprint for other in others)}) == 4


class TestLifeCycle:
    def test_one_that_nobody_holds_is_freed(self, bert_gguf: Path) -> None:
        embedder = LlamaCppEmbedder(bert_gguf, threads=1)
        released, gone = embedder._release, weakref.ref(embedder)
        del embedder
        gc.collect()
        assert gone() is None
        assert not released.alive

    def test_two_and_a_language_model_live_side_by_side(
        self, opened: Callable[..., LlamaCppEmbedder], tiny_gguf: Path, bert_gguf: Path
    ) -> None:
        one, two, model = opened(tiny_gguf), opened(bert_gguf), LlamaCppModel(tiny_gguf, threads=1)
        expected = two.embed(TEXTS)
        score = model.score("the fox", [" owl"])[0].logprob
        one.embed(TEXTS)
        one.close()
        assert two.embed(TEXTS) == pytest.approx(expected, abs=1e-5)
        assert model.score("the fox", [" owl"])[0].logprob == pytest.approx(score, abs=0.02)
        model.close()

    def test_closing_while_threads_ask_ends_in_an_error_of_ours(self, bert_gguf: Path) -> None:
        embedder = LlamaCppEmbedder(bert_gguf, threads=1)

        def ask() -> str:
            try:
                while True:
                    embedder.embed(TEXTS)
            except ModelError as error:
                return str(error)

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            embedder.embed(TEXTS)
            embedder.close()
            assert all("was closed: open it again" in task.result(timeout=60) for task in asking)


class TestFaults:
    @pytest.mark.parametrize("context_length", [-1, 0, 7])
    def test_a_context_without_room_is_told(self, bert_gguf: Path, context_length: int) -> None:
        with pytest.raises(InputError, match=f"context length of {context_length} is too short"):
            LlamaCppEmbedder(bert_gguf, context_length=context_length)

    @pytest.mark.parametrize("pooling", ["rank", "none", "max"])
    def test_a_pooling_there_is_not_is_told(self, bert_gguf: Path, pooling: Any) -> None:
        with pytest.raises(InputError, match=f"no pooling '{pooling}'.*choose one of mean, cls, last"):
            LlamaCppEmbedder(bert_gguf, pooling=pooling)

    def test_files_that_hold_no_embedder_are_told(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="there is no model file"):
            LlamaCppEmbedder(tmp_path / "none.gguf")
        with pytest.raises(ModelError, match="holds no model that embeds texts"):
            LlamaCppEmbedder(write_tiny_gguf(tmp_path / "wordless.gguf", tokenizer="none"))
        with pytest.raises(ModelError, match="holds no model that embeds texts"):
            LlamaCppEmbedder(write_tiny_gguf(tmp_path / "both.gguf", architecture="t5"))

    @pytest.mark.parametrize("kind", ["bert", "llama"])
    def test_a_model_without_numbers_is_told_every_time(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "nan.gguf"
        write_tiny_bert_gguf(path, nan=True) if kind == "bert" else write_tiny_gguf(path, nan=True)
        embedder = LlamaCppEmbedder(path, threads=1)
        for _ in range(2):
            with pytest.raises(ModelError, match=r"nan\.gguf computes no numbers.*fetch it again"):
                embedder.embed(["the fox"])
        assert not embedder.embed([""]).any()
        embedder.close()

    def test_a_context_that_cannot_be_made_is_told(
        self, bert_gguf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import llama_cpp

        monkeypatch.setattr(llama_cpp, "llama_init_from_model", lambda *_: None)
        with pytest.raises(ModelError, match="cannot make a context"):
            LlamaCppEmbedder(bert_gguf)

    @pytest.mark.parametrize("kind", ["encode", "decode"])
    def test_an_error_of_the_engine_leaves_it_usable(
        self,
        opened: Callable[..., LlamaCppEmbedder],
        bert_gguf: Path,
        tiny_gguf: Path,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
    ) -> None:
        import llama_cpp

        embedder = opened(bert_gguf if kind == "encode" else tiny_gguf)
        expected = embedder.embed(TEXTS)
        with monkeypatch.context() as patched:
            patched.setattr(llama_cpp, f"llama_{kind}", lambda *_: -3)
            with pytest.raises(ModelError, match=r"could not embed \d+ tokens \(code -3"):
                embedder.embed(TEXTS)
        with monkeypatch.context() as patched:
            for name in ("llama_get_embeddings", "llama_get_embeddings_seq"):
                patched.setattr(llama_cpp, name, lambda *_: None)
            with pytest.raises(ModelError, match="gives no vectors"):
                embedder.embed(TEXTS)
        assert embedder.embed(TEXTS) == pytest.approx(expected, abs=1e-5)
