"""Write language models with random weights: real GGUFs of a few hundred kB that load in no time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.llm.tiny_architectures import ARCHITECTURES, Weights

TRAINED_CONTEXT = 2048
WIDTH = 64

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


@dataclass(frozen=True)
class Conventions:
    """What a model's metadata say about its texts; None leaves a key out."""

    first: int | None = 0
    last: int | None = 2
    adds_first: bool | None = False
    adds_last: bool | None = None
    chat_template: str | None = CHATML


BYTES_CONVENTIONS = Conventions()
PIECES_CONVENTIONS = Conventions(first=1, adds_first=True, chat_template=INSTRUCT)
NO_CONVENTIONS = Conventions(first=None, last=None, adds_first=None, chat_template=None)


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary, as GPT-2 has them."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256)]


def write_tiny_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    tokenizer: Literal["bytes", "bare", "pieces", "none"] = "bytes",
    conventions: Conventions | None = None,
    seed: int = 0,
    nan: bool = False,
    width: int = WIDTH,
    head_width: int | None = None,
    more_tokens: int = 0,
    half: bool = False,
    quiet_ends: bool = False,
) -> Path:
    """Write the model and return its path.

    `architecture` is one of ARCHITECTURES. `bytes` is a byte-level vocabulary (GPT-2) with ChatML and no
    first token; `bare` is the same in GPT-2's own order and without control tokens; `pieces` is one that puts
    a space before a text (SentencePiece) with a first token; `none` is no vocabulary at all. `conventions`
    are those of the vocabulary unless given. With `nan` the model computes no numbers. `more_tokens` are
    added to a byte-level vocabulary: a model can choose them, but no text is cut into them. With `half` the
    matrices are half floats. Wide heads make what is kept of a text large. With `quiet_ends` control tokens
    are never the likeliest.
    """
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    if tokenizer == "none":
        writer.add_tokenizer_model("no_vocab")
        size = 32
    elif tokenizer == "pieces":
        size = _add_pieces(gguf, writer)
        _add_conventions(writer, conventions or PIECES_CONVENTIONS)
    else:
        size = _add_bytes(gguf, writer, controls=tokenizer == "bytes", more_tokens=more_tokens)
        _add_conventions(
            writer, conventions or (BYTES_CONVENTIONS if tokenizer == "bytes" else NO_CONVENTIONS)
        )
    layers, add_layers = ARCHITECTURES[architecture]
    writer.add_context_length(TRAINED_CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_vocab_size(size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    weights = Weights(writer, width=width, seed=seed, half=half, head_width=head_width)
    # Without a matrix of its own for the output, the embeddings serve: what was read last is likely next.
    weights.add("token_embd", size, width, quiet_rows=len(CONTROL_TOKENS) if quiet_ends else 0)
    if architecture not in ("t5", "bert"):
        norm = "token_embd_norm" if architecture == "lfm2" else "output_norm"
        weights.fill(norm, float("nan") if nan else 3.0)
    add_layers(weights, layers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_bytes(gguf: Any, writer: Any, *, controls: bool, more_tokens: int) -> int:
    letters = byte_letters()
    # GPT-2 begins with the letters that can be seen, in the order of their bytes, and ends with the others.
    tokens = [*CONTROL_TOKENS, *letters] if controls else sorted(letters)
    merges = []
    for word in WORDS:
        pieces = [letters[byte] for byte in word.encode()]
        # Of the Chinese word only the first bytes of a character are one token: its characters stay split.
        for cut in range(1, 2 if word == "电影" else len(pieces)):
            merges.append(f"{''.join(pieces[:cut])} {pieces[cut]}")
            tokens.append("".join(pieces[: cut + 1]))
    tokens = list(dict.fromkeys(tokens))
    merges = list(dict.fromkeys(merges))
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL_TOKENS) if controls else []
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds))
    tokens.append(LONG_TOKEN)
    kinds.append(gguf.TokenType.USER_DEFINED)
    tokens += [f"more{number}" for number in range(more_tokens)]
    kinds += [gguf.TokenType.NORMAL] * more_tokens
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
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
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(True)
    return len(tokens) + len(pieces)


def _add_conventions(writer: Any, conventions: Conventions) -> None:
    if conventions.first is not None:
        writer.add_bos_token_id(conventions.first)
    if conventions.last is not None:
        writer.add_eos_token_id(conventions.last)
    if conventions.adds_first is not None:
        writer.add_add_bos_token(conventions.adds_first)
    if conventions.adds_last is not None:
        writer.add_add_eos_token(conventions.adds_last)
    if conventions.chat_template is not None:
        writer.add_chat_template(conventions.chat_template)
