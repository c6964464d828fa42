"""The head of a file with a state; what damaged files do is tested with the states."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llmrec.llm.prefix_files import HEADER_BYTES, content_digest, read_header


def write(path: Path, *, tokens: int, logits: int, body: bytes, padding: str = "") -> Path:
    header = {"tokens": tokens, "logits": logits, "sha256": "abc", "padding": padding}
    path.write_bytes(json.dumps(header).encode() + b"\n" + body)
    return path


def test_a_header_is_read_and_no_more(tmp_path: Path) -> None:
    path = write(tmp_path / "file", tokens=2, logits=1, body=b"x" * 12)
    with path.open("rb") as file:
        assert read_header(file) == (2, 1, "abc")
        assert file.read() == b"x" * 12


@pytest.mark.parametrize(("tokens", "logits"), [(0, 1), (2, -1), (2, 2), (True, 1)])
def test_one_that_says_what_cannot_be_is_refused(tmp_path: Path, tokens: int, logits: int) -> None:
    path = write(tmp_path / "file", tokens=tokens, logits=logits, body=b"x" * 12)
    with path.open("rb") as file, pytest.raises(ValueError, match="shorter than it says"):
        read_header(file)


def test_one_without_end_is_not_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "file", tokens=2, logits=1, body=b"x" * 12, padding="p" * 2 * HEADER_BYTES)
    with path.open("rb") as file:
        with pytest.raises(ValueError):
            read_header(file)
        assert file.tell() == HEADER_BYTES


def test_a_digest_tells_the_model_the_counts_and_the_bytes_however_they_are_cut() -> None:
    counts, data = {"tokens": 1, "logits": 0}, np.arange(6, dtype=np.uint8)
    digest = content_digest("model", counts, [data])
    assert digest == content_digest("model", counts, [data[:2], data[2:]])
    others = {
        content_digest("other", counts, [data]),
        content_digest("model", {"tokens": 1, "logits": 1}, [data]),
        content_digest("model", counts, [data[::-1].copy()]),
    }
    assert len(others | {digest}) == 4
