"""Write a BERT of two layers with random weights as a real GGUF, and compute in numpy what it computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

TRAINED_CONTEXT = 96
WIDTH = 32
HEADS = 2
LAYERS = 2
FEED_FORWARD = 64
EPSILON = 1e-12

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNKNOWN, FIRST, LAST = 1, 2, 3
# As a wordpiece vocabulary has them: pieces that continue a word begin with ##.
PIECES = (
    *"abcdefghijklmnopqrstuvwxyz.,[]()",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    *("the", "fox", "owl", "ship", "wood", "follow", "##ed", "##ing", "story", "电", "影"),
)
VOCABULARY = (*SPECIAL, *PIECES)

Weights = dict[str, npt.NDArray[np.float32]]
PoolingName = Literal["none", "mean", "cls", "last", "rank"]


def write_tiny_bert_gguf(
    path: Path,
    *,
    pooling: PoolingName | None = "mean",
    says_direction: bool = True,
    seed: int = 0,
    nan: bool = False,
) -> Path:
    """Write the model and return its path; with `nan` it computes no numbers.

    Without `pooling` the file tells none; without `says_direction` not that it reads in both directions.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(TRAINED_CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(EPSILON)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if says_direction:
        writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(gguf.PoolingType[pooling.upper()])
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_phantom(piece) for piece in VOCABULARY])
    kinds = [gguf.TokenType.CONTROL if piece in SPECIAL else gguf.TokenType.NORMAL for piece in VOCABULARY]
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    writer.add_bos_token_id(FIRST)
    writer.add_eos_token_id(LAST)
    writer.add_sep_token_id(LAST)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_pad_token_id(0)
    for name, values in random_weights(seed).items():
        spoilt = nan and name == "token_embd.weight"
        writer.add_tensor(name, np.full_like(values, np.nan) if spoilt else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _phantom(piece: str) -> str:
    """A piece as llama.cpp wants it: a mark where a word begins, and none where it goes on."""
    if piece in SPECIAL:
        return piece
    return piece[2:] if piece.startswith("##") else f"▁{piece}"


def random_weights(seed: int = 0) -> Weights:
    """The weights by the names they have in a GGUF."""
    generator = np.random.default_rng(seed)
    weights: Weights = {}

    def add(name: str, *shape: int, scale: float = 1.0) -> None:
        values = generator.standard_normal(shape) * scale / math.sqrt(shape[-1])
        weights[name] = values.astype(np.float32)

    def add_norm(name: str) -> None:
        weights[f"{name}.weight"] = (1 + 0.3 * generator.standard_normal(WIDTH)).astype(np.float32)
        add(f"{name}.bias", WIDTH)

    def add_linear(name: str, rows: int, columns: int) -> None:
        add(f"{name}.weight", rows, columns, scale=2.0)
        add(f"{name}.bias", rows)

    add("token_embd.weight", len(VOCABULARY), WIDTH, scale=4.0)
    add("position_embd.weight", TRAINED_CONTEXT, WIDTH)
    add("token_types.weight", 2, WIDTH)
    add_norm("token_embd_norm")
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add_linear(f"blk.{layer}.{name}", WIDTH, WIDTH)
        add_norm(f"blk.{layer}.attn_output_norm")
        add_linear(f"blk.{layer}.ffn_up", FEED_FORWARD, WIDTH)
        add_linear(f"blk.{layer}.ffn_down", WIDTH, FEED_FORWARD)
        add_norm(f"blk.{layer}.layer_output_norm")
    return weights


def token_numbers(pieces: Sequence[str]) -> list[int]:
    """The numbers of pieces, between the tokens that stand around every text."""
    return [FIRST, *(VOCABULARY.index(piece) for piece in pieces), LAST]


def encode(
    weights: Weights, tokens: Sequence[int], pooling: Literal["mean", "cls", "last"]
) -> npt.NDArray[np.float32]:
    """What a BERT with these weights computes, by the book (Devlin et al. 2019): a vector of length 1."""

    def normalised(values: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
        centred = values - values.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(values: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    hidden = weights["token_embd.weight"][list(tokens)] + weights["position_embd.weight"][: len(tokens)]
    hidden = normalised(hidden + weights["token_types.weight"][0], "token_embd_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        queries, keys, values = (
            linear(hidden, f"{block}.attn_{part}").reshape(len(tokens), HEADS, -1).swapaxes(0, 1)
            for part in "qkv"
        )
        attention = np.exp(queries @ keys.swapaxes(1, 2) / math.sqrt(WIDTH // HEADS))
        attention /= attention.sum(axis=-1, keepdims=True)
        seen = (attention @ values).swapaxes(0, 1).reshape(len(tokens), WIDTH)
        hidden = normalised(hidden + linear(seen, f"{block}.attn_output"), f"{block}.attn_output_norm")
        inner = linear(hidden, f"{block}.ffn_up")
        inner = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        hidden = normalised(hidden + linear(inner, f"{block}.ffn_down"), f"{block}.layer_output_norm")
    vector = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return (vector / np.linalg.norm(vector)).astype(np.float32)
