"""Write a llama of two layers with random weights: a real GGUF of a few hundred kB that loads in no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

TRAINED_CONTEXT = 2048
WIDTH = 64
HEADS = 4
KEY_VALUE_HEADS = 2
LAYERS = 2
FEED_FORWARD = 128

WORDS = (" the", " wood", " ship", " fox", " owl", " follow", " nothing", "电影")
LONG_TOKEN = "x" * 700
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INSTRUCT = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}{% else %}{{ raise_exception('no system role') }}"
    "{% endif %}{% endfor %}"
)


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary, as GPT-2 has them."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256)]


def write_tiny_gguf(
    path: Path,
    *,
    tokenizer: Literal["bytes", "pieces", "none"] = "bytes",
    seed: int = 0,
    nan: bool = False,
) -> Path:
    """Write the model and return its path.

    `bytes` is a byte-level vocabulary (GPT-2) with ChatML and no first token; `pieces` is one that puts a
    space before a text (SentencePiece) with a first token; `none` is no vocabulary at all. With `nan` the
    model computes no numbers.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    size = {"bytes": _add_bytes, "pieces": _add_pieces, "none": _add_none}[tokenizer](gguf, writer)
    writer.add_context_length(TRAINED_CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    generator = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        weights = generator.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[-1]))
        writer.add_tensor(f"{name}.weight", weights)

    def add_norm(name: str, value: float = 1.0) -> None:
        writer.add_tensor(f"{name}.weight", np.full(WIDTH, value, dtype=np.float32))

    # Without a matrix of its own for the output, the embeddings serve: what was read last is likely next.
    add("token_embd", size, WIDTH)
    add_norm("output_norm", float("nan") if nan else 3.0)
    for layer in range(LAYERS):
        add_norm(f"blk.{layer}.attn_norm")
        add(f"blk.{layer}.attn_q", WIDTH, WIDTH)
        add(f"blk.{layer}.attn_k", WIDTH * KEY_VALUE_HEADS // HEADS, WIDTH)
        add(f"blk.{layer}.attn_v", WIDTH * KEY_VALUE_HEADS // HEADS, WIDTH)
        add(f"blk.{layer}.attn_output", WIDTH, WIDTH)
        add_norm(f"blk.{layer}.ffn_norm")
        add(f"blk.{layer}.ffn_gate", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_up", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_down", WIDTH, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_bytes(gguf: Any, writer: Any) -> int:
    letters = byte_letters()
    tokens, merges = [*CONTROL_TOKENS, *letters], []
    for word in WORDS:
        pieces = [letters[byte] for byte in word.encode()]
        # Of the Chinese word only the first bytes of a character are one token: its characters stay split.
        for cut in range(1, 2 if word == "电影" else len(pieces)):
            merges.append(f"{''.join(pieces[:cut])} {pieces[cut]}")
            tokens.append("".join(pieces[: cut + 1]))
    tokens = list(dict.fromkeys(tokens))
    merges = list(dict.fromkeys(merges))
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL_TOKENS)
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds))
    tokens.append(LONG_TOKEN)
    kinds.append(gguf.TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)
    return len(tokens)


def _add_pieces(gguf: Any, writer: Any) -> int:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256
    scores = [0.0] * len(tokens)
    words = [word.replace(" ", "▁") for word in WORDS]
    pieces = ["▁", *"abcdefghijklmnopqrstuvwxyz[]/INST"]
    pieces += [word[: end + 1] for word in words for end in range(1, len(word))]
    pieces = list(dict.fromkeys(pieces))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*tokens, *pieces])
    writer.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * len(pieces)])
    writer.add_token_scores([*scores, *(float(-number) for number in range(len(pieces)))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(INSTRUCT)
    return len(tokens) + len(pieces)


def _add_none(gguf: Any, writer: Any) -> int:
    writer.add_tokenizer_model("no_vocab")
    return 32
