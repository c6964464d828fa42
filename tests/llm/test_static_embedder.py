"""The static vectors of wordllama: read from its files, without importing it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")
if importlib.util.find_spec("wordllama") is None:
    pytest.skip("wordllama is not installed", allow_module_level=True)

from llmrec.errors import ModelError
from llmrec.llm import static_embedder
from llmrec.llm.static_embedder import StaticEmbedder, check_installed, find_vector_files
from tests.llm.embedder_contract import EmbedderContract

ENGLISH = [
    "science fiction film",
    "The Left Hand of Darkness. A lone envoy on a frozen world; winner of the Hugo & Nebula awards (1969).",
    "don't",
    "Amélie, a naïve café romance",
    "a" * 3000,
    # Between a word and a number wordllama counts the space, which has a short vector of its own.
    "C++ in 21 days",
]


@pytest.fixture(scope="module")
def static() -> Iterator[StaticEmbedder]:
    embedder = StaticEmbedder()
    yield embedder
    embedder.close()


class TestContract(EmbedderContract):
    knows_english = True

    @pytest.fixture
    def embedder(self, static: StaticEmbedder) -> StaticEmbedder:
        return static

    @pytest.fixture
    def embedder_to_close(self) -> StaticEmbedder:
        return StaticEmbedder()


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestVectors:
    def test_english_gets_the_vectors_that_wordllama_gives_it(self, static: StaticEmbedder) -> None:
        # In a process of its own: importing wordllama sets up logging.
        code = f"""
import json, pathlib, wordllama
folder = pathlib.Path(wordllama.__file__).parent
model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
print(json.dumps(model.embed({ENGLISH!r}, norm=True).tolist()))
"""
        expected = np.array(json.loads(run_python(code)), dtype=np.float32)
        found = static.embed(ENGLISH)
        assert found[:-1] == pytest.approx(expected[:-1], abs=1e-5)
        assert found[-1] @ expected[-1] > 0.98

    def test_what_it_says_of_itself(self, static: StaticEmbedder) -> None:
        assert (static.name, static.dimensions, static.languages) == ("wordllama", 256, ("en",))

    @pytest.mark.parametrize("text", ["烹饪", "🎬🍿", "</s>", "<s><unk></s>", "\x00\x07", "\ue000"])
    def test_what_the_vocabulary_lacks_is_no_vector(self, static: StaticEmbedder, text: str) -> None:
        assert not static.embed([text]).any()

    @pytest.mark.parametrize(
        ("text", "what_is_known"),
        [
            ("a film 🎬 of 烹 horror", "a film of horror"),
            ("film\n\tnoir  ", "film noir"),
            ("film</s> noir", "film noir"),
            ("Ｆｉｌｍ ｎｏｉｒ", "Film noir"),
            ("cafe\u0301", "café"),
        ],
    )
    def test_what_it_lacks_leaves_the_rest_as_it_is(
        self, static: StaticEmbedder, text: str, what_is_known: str
    ) -> None:
        one, other = static.embed([text, what_is_known])
        assert one == pytest.approx(other, abs=1e-6)

    def test_chinese_is_known_in_part(self, static: StaticEmbedder) -> None:
        water, same_in_chinese, horse = static.embed(["water", "水", "horse"])
        assert water @ same_in_chinese > 0.4 > horse @ same_in_chinese
        # Of both, horror and thriller novels, only the last two characters are known.
        one, other = static.embed(["恐怖小说", "惊悚小说"])
        assert one @ other == pytest.approx(1.0, abs=1e-5)

    def test_long_texts_are_read_whole(self, static: StaticEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "the quick brown fox " * 500 + "sails the seven seas " * 500
        (whole,) = static.embed([text])
        for gathered in (1, 7, 10**6):
            monkeypatch.setattr(static_embedder, "GATHERED_TOKENS", gathered)
            assert static.embed([text])[0] == pytest.approx(whole, abs=1e-5)
        halves = static.embed(["the quick brown fox " * 500, "sails the seven seas " * 500])
        assert (halves @ whole).min() > 0.5


class TestHarmlessness:
    def test_neither_the_package_nor_the_network_is_touched(self) -> None:
        code = """
import logging, sys
def refuse(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(event)
sys.addaudithook(refuse)
from llmrec.llm.static_embedder import StaticEmbedder
before = set(sys.modules)
with_vectors = StaticEmbedder()
assert with_vectors.embed(["film"]).any()
assert not {"wordllama", "requests", "huggingface_hub", "safetensors", "torch"} & set(sys.modules)
assert not logging.getLogger().handlers and logging.getLogger().level == logging.WARNING
import os
child = os.fork() if hasattr(os, "fork") else None
if child == 0:
    with_vectors.embed(["film"])
    os._exit(0)
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_the_vectors_are_mapped_and_not_copied(self, static: StaticEmbedder) -> None:
        vectors = static._vectors
        assert vectors is not None
        assert isinstance(vectors.base, np.memmap)
        assert not vectors.flags.writeable
        assert vectors.nbytes == 32_000 * 256 * 2


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of wordllama's two files that a test may spoil."""
    vectors, tokenizer = find_vector_files()
    folder = tmp_path / "wordllama"
    for path, place in (
        (vectors, static_embedder.VECTORS_FILE),
        (tokenizer, static_embedder.TOKENIZER_FILE),
    ):
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_bytes(path.read_bytes())
    spec = importlib.util.spec_from_loader("wordllama", None, is_package=True)
    assert spec is not None
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(static_embedder.importlib.util, "find_spec", lambda _: spec)
    return folder


def tensor_file(header: bytes) -> bytes:
    """A file of safetensors with four bytes of numbers."""
    return len(header).to_bytes(8, "little") + header + bytes(4)


class TestFiles:
    def test_the_fingerprint_is_that_of_both_files(self, static: StaticEmbedder, package: Path) -> None:
        seen = {static.fingerprint, StaticEmbedder().fingerprint}
        assert len(seen) == 1
        for place in (static_embedder.VECTORS_FILE, static_embedder.TOKENIZER_FILE):
            with (package / place).open("ab") as file:
                file.write(b"\n")
            seen.add(StaticEmbedder().fingerprint)
        assert len(seen) == 3

    def test_without_the_packages_the_cure_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def all_but(absent: str) -> None:
            found = importlib.util.find_spec
            monkeypatch.setattr(
                static_embedder.importlib.util,
                "find_spec",
                lambda name: None if name == absent else found(name),
            )

        check_installed()
        with monkeypatch.context() as monkeypatch:
            all_but("wordllama")
            for use in (StaticEmbedder, check_installed):
                with pytest.raises(ModelError, match=r"pip install 'llmrec\[embeddings\]'"):
                    use()
        with monkeypatch.context() as monkeypatch:
            all_but("tokenizers")
            monkeypatch.setitem(sys.modules, "tokenizers", None)
            for use in (StaticEmbedder, check_installed):
                with pytest.raises(ModelError, match=r"pip install 'llmrec\[embeddings\]'"):
                    use()

    @pytest.mark.parametrize("place", [static_embedder.VECTORS_FILE, static_embedder.TOKENIZER_FILE])
    def test_a_package_without_its_files_is_told(self, package: Path, place: Path) -> None:
        (package / place).unlink()
        with pytest.raises(ModelError, match=r"no 256-dimension vectors.*--force-reinstall"):
            StaticEmbedder()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff" * 64,
            b"\x02\0\0\0\0\0\0\0{}",
            b"\x04\0\0\0\0\0\0\0[{}]",
            tensor_file(b'{"embedding.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}'),
            tensor_file(b'{"embedding.weight":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'),
            tensor_file(b'{"embedding.weight":{"dtype":"F16","shape":[9,9],"data_offsets":[0,162]}}'),
            tensor_file(b'{"embedding.weight":{"dtype":"F16","shape":[1,-1],"data_offsets":[0,2]}}'),
            tensor_file(b'{"embedding.weight":{"dtype":"F16","shape":[1,1]}}'),
            tensor_file(b'{"another":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]}}'),
        ],
    )
    def test_damaged_vectors_are_told(self, package: Path, content: bytes) -> None:
        (package / static_embedder.VECTORS_FILE).write_bytes(content)
        with pytest.raises(ModelError, match=r"l2_supercat_256.safetensors cannot be read.*force-reinstall"):
            StaticEmbedder()

    def test_vectors_that_were_cut_off_are_told(self, package: Path) -> None:
        path = package / static_embedder.VECTORS_FILE
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ModelError, match="cannot be read"):
            StaticEmbedder()

    @pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": {"type": "BPE"}}'])
    def test_a_damaged_tokenizer_is_told(self, package: Path, content: bytes) -> None:
        (package / static_embedder.TOKENIZER_FILE).write_bytes(content)
        with pytest.raises(ModelError, match=r"tokenizer_config.json cannot be read.*force-reinstall"):
            StaticEmbedder()
