"""The weights of models of several kinds, for tiny_gguf: random, and as few as llama.cpp lets them be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

HEADS = 4
KEY_VALUE_HEADS = 2
FEED_FORWARD = 128
SLIDING_WINDOW = 32
"""How far back the layers of gemma2 and gemma3 with a window look, in tokens."""
CONVOLUTION = 4
STATE = 8
TIME_STEPS = 4
DELTA_HEADS = 2
DELTA_STATE = 16
BUCKETS = 8


class Weights:
    """Adds random tensors to a GGUF; shapes are written as numpy has them, the reverse of llama.cpp's."""

    def __init__(
        self, writer: Any, *, width: int, seed: int, half: bool = False, head_width: int | None = None
    ) -> None:
        self.writer = writer
        self.width = width
        self.half = half
        self.head_width = head_width or width // HEADS
        self._generator = np.random.default_rng(seed)

    def add(self, name: str, *shape: int, quiet_rows: int = 0) -> None:
        """A matrix that keeps the size of what it multiplies, but for its first rows."""
        weights = self._generator.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[-1]))
        weights[:quiet_rows] *= 0.1
        self.writer.add_tensor(f"{name}.weight", weights.astype(np.float16) if self.half else weights)

    def fill(self, name: str, value: float, *shape: int, suffix: str = ".weight") -> None:
        """A tensor of one value, a vector of the model's width unless a shape is given."""
        self.writer.add_tensor(name + suffix, np.full(shape or (self.width,), value, dtype=np.float32))

    def vary(self, name: str, low: float, high: float, *shape: int, suffix: str = "") -> None:
        """Values from a range, always in full precision."""
        self.writer.add_tensor(name + suffix, self._generator.uniform(low, high, shape).astype(np.float32))

    def attention(self, block: str, *, query: int = 1) -> None:
        """Queries, keys, values and their output; `query` times as many rows of queries."""
        for part, rows in (("q", HEADS * query), ("k", KEY_VALUE_HEADS), ("v", KEY_VALUE_HEADS)):
            self.add(f"{block}.attn_{part}", rows * self.head_width, self.width)
        self.add(f"{block}.attn_output", self.width, HEADS * self.head_width)

    def feed_forward(self, block: str) -> None:
        """A gated feed-forward network."""
        self.add(f"{block}.ffn_gate", FEED_FORWARD, self.width)
        self.add(f"{block}.ffn_up", FEED_FORWARD, self.width)
        self.add(f"{block}.ffn_down", self.width, FEED_FORWARD)


def _attention_settings(weights: Weights, key_value_heads: int | list[int] = KEY_VALUE_HEADS) -> None:
    writer = weights.writer
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(key_value_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(weights.head_width)
    writer.add_key_length(weights.head_width)
    writer.add_value_length(weights.head_width)


def add_llama(weights: Weights, layers: int) -> None:
    """Attention to everything before."""
    _attention_settings(weights)
    for layer in range(layers):
        block = f"blk.{layer}"
        weights.fill(f"{block}.attn_norm", 1.0)
        weights.attention(block)
        weights.fill(f"{block}.ffn_norm", 1.0)
        weights.feed_forward(block)


def add_gemma2(weights: Weights, layers: int) -> None:
    """Every second layer sees a window only."""
    weights.writer.add_sliding_window(SLIDING_WINDOW)
    weights.writer.add_attn_logit_softcapping(50.0)
    weights.writer.add_final_logit_softcapping(30.0)
    _add_gemma(weights, layers)


def add_gemma3(weights: Weights, layers: int) -> None:
    """Two of three layers see a window only, and queries and keys are normalised."""
    weights.writer.add_sliding_window(SLIDING_WINDOW)
    weights.writer.add_sliding_window_pattern(3)
    weights.writer.add_rope_freq_base(1_000_000.0)
    _add_gemma(weights, layers)
    for layer in range(layers):
        weights.fill(f"blk.{layer}.attn_q_norm", 1.0, weights.head_width)
        weights.fill(f"blk.{layer}.attn_k_norm", 1.0, weights.head_width)


def _add_gemma(weights: Weights, layers: int) -> None:
    _attention_settings(weights)
    for layer in range(layers):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            weights.fill(f"{block}.{norm}", 1.0)
        for norm in ("post_attention_norm", "post_ffw_norm"):
            weights.fill(f"{block}.{norm}", 0.5)
        weights.attention(block)
        weights.feed_forward(block)


def _selective_state(weights: Weights, block: str, *, normed: bool) -> None:
    inner = 2 * weights.width
    weights.add(f"{block}.ssm_in", 2 * inner, weights.width)
    weights.vary(f"{block}.ssm_conv1d", -0.6, 0.6, inner, CONVOLUTION, suffix=".weight")
    weights.fill(f"{block}.ssm_conv1d", 0.0, inner, suffix=".bias")
    weights.add(f"{block}.ssm_x", TIME_STEPS + 2 * STATE, inner)
    weights.add(f"{block}.ssm_dt", inner, TIME_STEPS)
    weights.vary(f"{block}.ssm_dt", -3.0, 0.0, inner, suffix=".bias")
    weights.vary(f"{block}.ssm_a", -1.0, -0.05, inner, STATE)
    weights.fill(f"{block}.ssm_d", 1.0, inner, suffix="")
    weights.add(f"{block}.ssm_out", weights.width, inner)
    if normed:
        weights.fill(f"{block}.ssm_dt_norm", 1.0, TIME_STEPS)
        weights.fill(f"{block}.ssm_b_norm", 1.0, STATE)
        weights.fill(f"{block}.ssm_c_norm", 1.0, STATE)


def _selective_settings(writer: Any, width: int) -> None:
    writer.add_ssm_conv_kernel(CONVOLUTION)
    writer.add_ssm_inner_size(2 * width)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(TIME_STEPS)


def add_mamba(weights: Weights, layers: int) -> None:
    """A state for a whole text, and nothing else."""
    _selective_settings(weights.writer, weights.width)
    weights.writer.add_feed_forward_length(0)
    weights.writer.add_head_count(0)
    weights.writer.add_layer_norm_rms_eps(1e-5)
    for layer in range(layers):
        weights.fill(f"blk.{layer}.attn_norm", 1.0)
        _selective_state(weights, f"blk.{layer}", normed=False)


def add_jamba(weights: Weights, layers: int) -> None:
    """Layers with a state and layers with attention, in turn."""
    _selective_settings(weights.writer, weights.width)
    heads = [KEY_VALUE_HEADS * (layer % 2) for layer in range(layers)]
    _attention_settings(weights, heads)
    for layer in range(layers):
        block = f"blk.{layer}"
        weights.fill(f"{block}.attn_norm", 1.0)
        if layer % 2:
            weights.attention(block)
        else:
            _selective_state(weights, block, normed=True)
        weights.fill(f"{block}.ffn_norm", 1.0)
        weights.feed_forward(block)


def add_lfm2(weights: Weights, layers: int) -> None:
    """Short convolutions and attention, in turn."""
    heads = [KEY_VALUE_HEADS * (layer % 2) for layer in range(layers)]
    _attention_settings(weights, heads)
    weights.writer.add_shortconv_l_cache(CONVOLUTION - 1)
    for layer in range(layers):
        block = f"blk.{layer}"
        weights.fill(f"{block}.attn_norm", 1.0)
        if layer % 2:
            weights.attention(block)
            weights.fill(f"{block}.attn_q_norm", 1.0, weights.head_width)
            weights.fill(f"{block}.attn_k_norm", 1.0, weights.head_width)
        else:
            weights.vary(
                f"{block}.shortconv.conv", -0.6, 0.6, weights.width, CONVOLUTION - 1, suffix=".weight"
            )
            weights.add(f"{block}.shortconv.in_proj", 3 * weights.width, weights.width)
            weights.add(f"{block}.shortconv.out_proj", weights.width, weights.width)
        weights.fill(f"{block}.ffn_norm", 1.0)
        weights.feed_forward(block)


def add_qwen35(weights: Weights, layers: int) -> None:
    """Linear attention with gated delta rules, and full attention in every second layer."""
    writer, width = weights.writer, weights.width
    _attention_settings(weights)
    writer.add_rope_dimension_sections([weights.head_width // part for part in (4, 8, 8)] + [0])
    writer.add_full_attention_interval(2)
    writer.add_ssm_conv_kernel(CONVOLUTION)
    writer.add_ssm_state_size(DELTA_STATE)
    writer.add_ssm_group_count(DELTA_HEADS)
    writer.add_ssm_time_step_rank(DELTA_HEADS)
    writer.add_ssm_inner_size(DELTA_HEADS * DELTA_STATE)
    values = DELTA_HEADS * DELTA_STATE
    for layer in range(layers):
        block = f"blk.{layer}"
        weights.fill(f"{block}.attn_norm", 1.0)
        weights.fill(f"{block}.post_attention_norm", 1.0)
        if layer % 2:
            weights.attention(block, query=2)
            weights.fill(f"{block}.attn_q_norm", 1.0, weights.head_width)
            weights.fill(f"{block}.attn_k_norm", 1.0, weights.head_width)
        else:
            weights.add(f"{block}.attn_qkv", 3 * values, width)
            weights.add(f"{block}.attn_gate", values, width)
            weights.vary(f"{block}.ssm_conv1d", -0.6, 0.6, 3 * values, CONVOLUTION, suffix=".weight")
            weights.vary(f"{block}.ssm_dt", -3.0, 0.0, DELTA_HEADS, suffix=".bias")
            weights.vary(f"{block}.ssm_a", -1.0, -0.05, DELTA_HEADS)
            weights.add(f"{block}.ssm_beta", DELTA_HEADS, width)
            weights.add(f"{block}.ssm_alpha", DELTA_HEADS, width)
            weights.fill(f"{block}.ssm_norm", 1.0, DELTA_STATE)
            weights.add(f"{block}.ssm_out", width, values)
        weights.feed_forward(block)


def add_t5(weights: Weights, layers: int) -> None:
    """An encoder and a decoder that reads it."""
    writer, width = weights.writer, weights.width
    _attention_settings(weights, HEADS)
    writer.add_relative_attn_buckets_count(BUCKETS)
    writer.add_decoder_start_token_id(0)
    weights.fill("enc.output_norm", 1.0)
    weights.fill("dec.output_norm", 1.0)
    for layer in range(layers):
        for block, kinds in (("enc", ("attn",)), ("dec", ("attn", "cross_attn"))):
            for kind in kinds:
                weights.fill(f"{block}.blk.{layer}.{kind}_norm", 1.0)
                for part in "qkvo":
                    weights.add(f"{block}.blk.{layer}.{kind}_{part}", width, width)
            weights.add(f"{block}.blk.{layer}.attn_rel_b", BUCKETS, HEADS)
            weights.fill(f"{block}.blk.{layer}.ffn_norm", 1.0)
            weights.add(f"{block}.blk.{layer}.ffn_up", FEED_FORWARD, width)
            weights.add(f"{block}.blk.{layer}.ffn_down", width, FEED_FORWARD)


def add_bert(weights: Weights, layers: int) -> None:
    """An encoder alone."""
    writer, width = weights.writer, weights.width
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_token_type_count(1)
    weights.add("position_embd", 2048, width)
    weights.add("token_types", 1, width)
    weights.fill("token_embd_norm", 1.0)
    weights.fill("token_embd_norm", 0.0, suffix=".bias")
    for layer in range(layers):
        block = f"blk.{layer}"
        sizes = {"attn_q": (width, width), "attn_k": (width, width), "attn_v": (width, width)}
        sizes |= {
            "attn_output": (width, width),
            "ffn_up": (FEED_FORWARD, width),
            "ffn_down": (width, FEED_FORWARD),
        }
        for name, (rows, columns) in sizes.items():
            weights.add(f"{block}.{name}", rows, columns)
            weights.fill(f"{block}.{name}", 0.0, rows, suffix=".bias")
        for norm in ("attn_output_norm", "layer_output_norm"):
            weights.fill(f"{block}.{norm}", 1.0)
            weights.fill(f"{block}.{norm}", 0.0, suffix=".bias")


ARCHITECTURES: dict[str, tuple[int, Callable[[Weights, int], None]]] = {
    "llama": (2, add_llama),
    "gemma2": (2, add_gemma2),
    "gemma3": (3, add_gemma3),
    "mamba": (2, add_mamba),
    "jamba": (2, add_jamba),
    "lfm2": (2, add_lfm2),
    "qwen35": (2, add_qwen35),
    "t5": (1, add_t5),
    "bert": (1, add_bert),
}
"""How many layers a model of each kind has, and what writes them."""
