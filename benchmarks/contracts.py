"""``python -m benchmarks.contracts``: what checking an answer costs, and that large prompts are not read for it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.measure import machine
from lanewise._contracts.contract import Contract
from lanewise._contracts.request_contract import SHAPING, contract_of
from lanewise._openai.choices import read_choices
from lanewise._openai.request_body import RequestBody, binding
from lanewise._transform.request_transform import RequestTransform
from lanewise.config import Route
from lanewise.types import Api

CHECK_US = 30.0
"""Microseconds of CPU to hold for checking an answer of 4 kB against a schema."""
IMAGE_MS = 6.0
"""Milliseconds of CPU to hold for what a prompt with 5 MB of images adds to the making of a body."""

LINE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
        "title": {"type": "string", "maxLength": 300},
        "quantity": {"type": "integer", "minimum": 1},
        "cents": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["late", "damaged", "returned", "paid"]}},
    },
    "required": ["sku", "title", "quantity", "cents", "tags"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "lines": {"type": "array", "items": LINE}},
    "required": ["number", "lines"],
    "additionalProperties": False,
}


DENSE = "Kettle, 1.7 litres, brushed steel"
WORDY = "The kettle arrived with a dent in its lid, and its cable is too short for our kitchen. " * 3


def main() -> int:
    """Print the figures; 1 if one does not hold."""
    argparse.ArgumentParser(prog="python -m benchmarks.contracts", description=__doc__).parse_args()
    print(machine())
    contract = contract_for({"type": "json_schema", "json_schema": {"name": "order", "schema": SCHEMA}})
    check = checked(contract, WORDY, 12)
    print(
        f"check      {check:8.1f} us   4 kB of JSON, 12 lines with texts, to hold {CHECK_US:.0f}",
        held(check <= CHECK_US),
    )
    print(f"dense      {checked(contract, DENSE, 35):8.1f} us   4 kB of JSON, 35 lines of short fields")

    plain = RequestBody.parse(b'{"model": "task", "messages": [{"role": "user", "content": "?"}]}')
    without = micros(lambda: None if SHAPING.isdisjoint(plain.fields) else contract_of(plain, Api.CHAT, None), 20_000)
    print(f"nothing    {without:8.2f} us   a call that asks for no shape")

    recipe = RequestTransform(Route(name="main", provider="p", model="m"))
    small, large = prompt(100), prompt(5_000_000)
    added = (micros(lambda: made(recipe, large), 40) - micros(lambda: made(recipe, small), 2000)) / 1000
    print(f"5 MB image {added:8.2f} ms   added by it, to hold {IMAGE_MS:.0f}  {held(added <= IMAGE_MS)}")
    return 0 if check <= CHECK_US and added <= IMAGE_MS else 1


def checked(contract: Contract, title: str, lines: int) -> float:
    """Microseconds to check a whole answer with so many lines."""
    line = {"sku": "ABC-1042", "title": title, "quantity": 2, "cents": 4900, "tags": ["paid"]}
    text = json.dumps({"number": "2026-0042", "lines": [line] * lines})
    assert 3900 <= len(text) <= 4200, len(text)
    body = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()
    assert contract.breach(read_choices(Api.CHAT, body)) is None
    return micros(lambda: contract.breach(read_choices(Api.CHAT, body)), 3000)


def contract_for(response_format: dict[str, Any]) -> Contract:
    """The contract of a request with this format."""
    body = RequestBody.parse(json.dumps({"messages": [], "response_format": response_format}).encode())
    contract = contract_of(body, Api.CHAT, None)
    assert contract is not None
    return contract


def prompt(size: int) -> bytes:
    """A body with an image of so many base64 characters, which asks for JSON."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBOR" * (size // 5)}}
    given = {"type": "json_schema", "json_schema": {"name": "order", "schema": SCHEMA}}
    return json.dumps(
        {"model": "task", "messages": [{"role": "user", "content": [image]}], "response_format": given}
    ).encode()


def made(recipe: RequestTransform, raw: bytes) -> bytes:
    """What a call does with a body: read, keyed, asked what it must keep and whose memory it rests on, and written anew
    for the route."""
    body = RequestBody.parse(raw)
    assert body.digest
    assert binding(body, Api.CHAT) is None
    contract_of(body, Api.CHAT, None)
    return recipe.render(body, Api.CHAT).raw


def micros(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU a time, the best of nine rounds: others on the machine only ever add to it."""
    work()
    rounds = []
    for _ in range(9):
        began = time.process_time_ns()
        for _ in range(max(1, times // 9)):
            work()
        rounds.append((time.process_time_ns() - began) / max(1, times // 9) / 1000)
    return min(rounds)


def held(holds: bool) -> str:
    """In words."""
    return "holds" if holds else "FALLS SHORT"


if __name__ == "__main__":
    sys.exit(main())
