"""How many tokens a text or a call's body has for a model, without a network: counted, or estimated and marked so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from lanewise._openai import token_estimate as rough_tokens
from lanewise._openai.encodings import encoding, encoding_of
from lanewise.types import Api

__all__ = ["TokenCount", "count_body", "count_text"]

_PER_MESSAGE: Final = 3
_PER_NAME: Final = 1
_PER_ANSWER: Final = 3
"""What frames a message, a name and the start of the answer: OpenAI's cookbook, "How to count tokens with tiktoken"."""
_PER_IMAGE: Final = 1105
"""The dearest image of GPT-4o in high detail: 85 and 170 for each of 6 tiles (OpenAI, "Calculating costs")."""


class TokenCount(msgspec.Struct, frozen=True):
    """A number of tokens. One that is not ``exact`` is an estimate on the high side.

    Example::

        assert str(TokenCount(1200, exact=False)) == "~1,200"
    """

    tokens: int
    exact: bool

    def __str__(self) -> str:
        return f"{'' if self.exact else '~'}{self.tokens:,}"


def count_text(text: str, model: str) -> TokenCount:
    """The tokens of a text: exact for OpenAI's models if the extra ``tokens`` is there, else estimated by its bytes.

    Example::

        assert count_text("hello world", "gpt-4o") == TokenCount(2, exact=True)
    """
    known = encoding_of(model)
    codec = None if known is None else encoding(known)
    if codec is None:
        return TokenCount(rough_tokens.at_most(len(text.encode("utf-8", "surrogatepass"))), exact=False)
    return TokenCount(len(codec.encode_ordinary(text)), exact=True)


def count_body(body: Mapping[str, object], api: Api, model: str) -> TokenCount:
    """The input tokens of a call's body, its messages' framing included.

    Exact where all of it is text; tools, schemas, images and files are estimated, since their form inside of the model
    is not published.

    Example::

        body = {"messages": [{"role": "user", "content": "hello world"}]}
        assert count_body(body, Api.CHAT, "gpt-4o") == TokenCount(9, exact=True)
    """
    parts = _Parts()
    if api is Api.EMBEDDINGS:
        parts.embeddings(body.get("input"))
    elif api is Api.RESPONSES:
        parts.responses(body)
    else:
        parts.chat(body)
    counted = [count_text(text, model) for text in parts.texts]
    exact = parts.exact and all(count.exact for count in counted)
    if api is not Api.EMBEDDINGS and encoding_of(model) is None:
        exact = False  # another maker's framing
    return TokenCount(parts.framing + sum(count.tokens for count in counted), exact)


class _Parts:
    """The texts of a body, and what comes on top of them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.framing = 0
        self.exact = True

    def chat(self, body: Mapping[str, object]) -> None:
        self.framing += _PER_ANSWER
        for message in _list(body.get("messages")):
            self._message(message)
        for key in ("tools", "functions", "response_format"):
            self._structure(body.get(key))

    def responses(self, body: Mapping[str, object]) -> None:
        self.framing += _PER_ANSWER
        instructions = body.get("instructions")
        if isinstance(instructions, str):
            self._message({"role": "system", "content": instructions})
        texts = body.get("input")
        if isinstance(texts, str):
            self._message({"role": "user", "content": texts})
        for item in _list(texts):
            self._message(item)
        for key in ("tools", "text"):
            self._structure(body.get(key))

    def embeddings(self, texts: object) -> None:
        if isinstance(texts, str):
            self.texts.append(texts)
            return
        for item in _list(texts):
            if isinstance(item, int):
                self.framing += 1  # a list of tokens
            else:
                self.embeddings(item)

    def _message(self, message: object) -> None:
        self.framing += _PER_MESSAGE
        if not isinstance(message, Mapping):
            self._structure(message)
            return
        for key, value in message.items():
            if key == "content":
                self._content(value)
            elif key in ("role", "name") and isinstance(value, str):
                self.texts.append(value)
                self.framing += _PER_NAME if key == "name" else 0
            elif key != "type":
                self._structure(value)

    def _content(self, content: object) -> None:
        if isinstance(content, str):
            self.texts.append(content)
            return
        for part in _list(content):
            text = part.get("text") if isinstance(part, Mapping) else None
            if isinstance(text, str):
                self.texts.append(text)
            elif isinstance(part, Mapping) and str(part.get("type")).endswith(("image_url", "image")):
                self.framing += _PER_IMAGE
                self.exact = False
            else:
                self._structure(part)

    def _structure(self, value: object) -> None:
        """What the provider writes into the prompt in a form of its own: its JSON is longer."""
        if value is None:
            return
        self.texts.append(msgspec.json.encode(value).decode())
        self.exact = False


def _list(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()
