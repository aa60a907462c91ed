"""A llama of 140 kB with random weights: it says nothing sensible, in printable characters, and always the same."""

from __future__ import annotations

import string
from pathlib import Path

import gguf
import numpy as np

__all__ = ["write_tiny_model"]

_WIDTH, _INNER, _HEADS = 32, 64, 2
_CONTROL = ("<unk>", "<s>", "</s>")
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_CHARACTERS = ("\u2581", *string.ascii_letters, *string.digits, *string.punctuation)
"""The first is how this kind of vocabulary writes a space. One token a character, so that lengths are plain."""
_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write_tiny_model(path: Path) -> None:
    """Write the model as a GGUF file."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(512)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_chat_template(_TEMPLATE)
    _add_vocabulary(writer)
    for name, tensor in _tensors().items():
        writer.add_tensor(name, tensor.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    kind = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*_CONTROL, *_BYTES, *_CHARACTERS])
    writer.add_token_scores([0.0] * len(_CONTROL) + [-100.0] * len(_BYTES) + [-1.0] * len(_CHARACTERS))
    writer.add_token_types(
        [kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.BYTE] * len(_BYTES) + [kind.NORMAL] * len(_CHARACTERS)
    )
    writer.add_vocab_size(len(_CONTROL) + len(_BYTES) + len(_CHARACTERS))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)


def _tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    odd = len(_CONTROL) + len(_BYTES)
    size = odd + len(_CHARACTERS)

    def weights(*shape: int) -> np.ndarray:
        return random.standard_normal(shape) * 0.1

    heard, said = random.standard_normal((size, _WIDTH)), random.standard_normal((size, _WIDTH))
    # The first dimension is alike in all that is heard, so it can prefer characters: of bytes no text would come.
    heard[:, 0] = 4.0
    said[:odd, 0] = -6.0
    said[odd:, 0] = 2.0
    return {
        "token_embd.weight": heard,
        "output.weight": said,
        "output_norm.weight": np.ones(_WIDTH),
        "blk.0.attn_norm.weight": np.ones(_WIDTH),
        "blk.0.ffn_norm.weight": np.ones(_WIDTH),
        "blk.0.attn_q.weight": weights(_WIDTH, _WIDTH),
        "blk.0.attn_k.weight": weights(_WIDTH, _WIDTH),
        "blk.0.attn_v.weight": weights(_WIDTH, _WIDTH),
        "blk.0.attn_output.weight": weights(_WIDTH, _WIDTH),
        "blk.0.ffn_gate.weight": weights(_INNER, _WIDTH),
        "blk.0.ffn_up.weight": weights(_INNER, _WIDTH),
        "blk.0.ffn_down.weight": weights(_WIDTH, _INNER),
    }
