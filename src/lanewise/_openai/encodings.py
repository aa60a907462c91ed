"""OpenAI's encodings without a network: which model has which, and each built from the rank file in ``ranks/``."""

from __future__ import annotations

import functools
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["ENCODINGS", "EncodingName", "encoding", "encoding_of", "ranks"]

EncodingName = str
_HERE: Final = Path(__file__).parent / "ranks"


class _Vocabulary(msgspec.Struct, frozen=True):
    """What tiktoken's ``openai_public.py`` (0.14) says of an encoding, besides its ranks."""

    size: int
    pattern: str
    special: dict[str, int]


_O200K_PATTERN: Final = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
_CL100K_PATTERN: Final = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
ENCODINGS: Final = {
    "o200k_base": _Vocabulary(199_998, _O200K_PATTERN, {"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018}),
    "cl100k_base": _Vocabulary(
        100_256,
        _CL100K_PATTERN,
        {
            "<|endoftext|>": 100_257,
            "<|fim_prefix|>": 100_258,
            "<|fim_middle|>": 100_259,
            "<|fim_suffix|>": 100_260,
            "<|endofprompt|>": 100_276,
        },
    ),
}

# As tiktoken's model.py (0.14) has it; gpt-oss has the ranks of o200k_base, and more special tokens.
_O200K: Final = ("gpt-5", "gpt-4o", "chatgpt-4o", "gpt-4.1", "gpt-4.5", "gpt-oss", "o1", "o3", "o4")
_CL100K: Final = ("gpt-4", "gpt-3.5", "gpt-35", "text-embedding-3", "text-embedding-ada", "davinci-002", "babbage-002")
_PREFIXES: Final = sorted(
    [(prefix, "o200k_base") for prefix in _O200K] + [(prefix, "cl100k_base") for prefix in _CL100K],
    key=lambda pair: -len(pair[0]),
)


def encoding_of(model: str) -> EncodingName | None:
    """The encoding of a model by its name, with or without a vendor before it; ``None`` if it is none of OpenAI's.

    Example::

        assert encoding_of("openai/gpt-4o-mini-2024-07-18") == "o200k_base"
        assert encoding_of("claude-sonnet-4-6") is None
    """
    name = model.rsplit("/", 1)[-1].lower().removeprefix("ft:")
    for prefix, found in _PREFIXES:
        rest = name.removeprefix(prefix)
        if rest != name and (not rest or rest[0] in "-:" or (rest[0] == "." and prefix == "gpt-5")):
            return found
    return None


@functools.cache
def encoding(name: EncodingName) -> Encoding | None:
    """An encoding, built once a process (0.3 s); ``None`` where tiktoken, of the extra ``tokens``, is not installed."""
    try:
        from tiktoken import Encoding
    except ImportError:
        return None
    vocabulary = ENCODINGS[name]
    mergeable = {token: rank for rank, token in enumerate(ranks(name))}
    return Encoding(
        name, pat_str=vocabulary.pattern, mergeable_ranks=mergeable, special_tokens=dict(vocabulary.special)
    )


def ranks(name: EncodingName) -> Iterator[bytes]:
    """The tokens of an encoding, in the order of their ranks from 0 on. ``ranks/README.md`` describes the file."""
    data = lzma.decompress((_HERE / f"{name}.xz").read_bytes())
    size = ENCODINGS[name].size
    start = size
    for length in data[:size]:
        yield data[start : start + length]
        start += length
