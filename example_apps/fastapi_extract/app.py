"""Structured output: fields out of letters, as pydantic models; out of bank mandates, by an approved route only."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from pydantic import BaseModel, Field

from lanewise import Router
from lanewise.testing import Answer, FakeProvider
from starlette_lanewise.fastapi import (
    LanewiseMiddleware,
    RequestScope,
    RoutedClient,
    lifespan,
    sensitive,
    standard,
)

HERE = Path(__file__).parent
Fields = TypeVar("Fields", bound=BaseModel)

TRY = """
Try, from another terminal (Ctrl-C ends this):

  # data from an invoice
  curl http://127.0.0.1:8012/invoices -H 'Content-Type: application/json' -d '{"text": "Invoice 2026-0042"}'
  # break the primary: invoices go on, by another route
  curl http://127.0.0.1:18121/_fake/script -d '{"behaviours": [{"kind": "status", "status": 500}], "model": "gpt-5.5"}'
  # a mandate is sensitive: with its one approved route broken it fails closed
  curl -i http://127.0.0.1:8012/mandates -H 'Content-Type: application/json' -d '{"text": "I mandate a debit."}'
"""


class Letter(BaseModel):
    """What is read."""

    text: str = Field(min_length=1, max_length=20_000)


class Invoice(BaseModel):
    """What an invoice says."""

    number: str
    cents: int
    currency: str


class Mandate(BaseModel):
    """What a mandate for direct debit says."""

    holder: str
    iban: str


class Extracted(BaseModel):
    """Where the fields come from."""

    route: str | None
    attempts: int


class ExtractedInvoice(Extracted):
    """An invoice, and who read it."""

    invoice: Invoice


class ExtractedMandate(Extracted):
    """A mandate, and who read it."""

    mandate: Mandate


invoices = APIRouter(prefix="/invoices")
mandates = APIRouter(prefix="/mandates", dependencies=[Depends(sensitive("payment"))])


@invoices.post("")
@standard
async def read_invoice(letter: Letter, ai: RoutedClient, scope: RequestScope) -> ExtractedInvoice:
    """The fields of an invoice, from whichever route can answer."""
    invoice = await extract(ai, Invoice, letter)
    call = scope.calls[-1]
    return ExtractedInvoice(invoice=invoice, route=call.route, attempts=len(call.attempts))


@mandates.post("")
async def read_mandate(letter: Letter, ai: RoutedClient, scope: RequestScope) -> ExtractedMandate:
    """The fields of a mandate: from an approved route, or from nobody."""
    mandate = await extract(ai, Mandate, letter)
    call = scope.calls[-1]
    return ExtractedMandate(mandate=mandate, route=call.route, attempts=len(call.attempts))


async def extract(ai: RoutedClient, kind: type[Fields], letter: Letter) -> Fields:
    """The fields of a letter, by the SDK's own way of asking for a model's output."""
    reply = await ai.chat.completions.parse(
        model="extract",
        messages=[
            {"role": "system", "content": "Read the fields out of this letter."},
            {"role": "user", "content": letter.text},
        ],
        response_format=kind,
        seed=1,
    )
    fields = reply.choices[0].message.parsed
    if fields is None:
        raise HTTPException(422, "The model would not read this letter.")
    return fields


def create_app(router: Router | None = None) -> FastAPI:
    """The app. Without a router it reads the file beside this one."""
    router = router or Router.from_file(HERE / "lanewise.toml")
    app = FastAPI(title="Letters", lifespan=lifespan(router))
    app.add_middleware(LanewiseMiddleware, router=router)
    app.include_router(invoices)
    app.include_router(mandates)
    return app


INVOICE = Invoice(number="2026-0042", cents=4900, currency="EUR").model_dump_json()
MANDATE = Mandate(holder="Ana Ruiz", iban="DE02120300000000202051").model_dump_json()


def main() -> None:
    """Serve the app on loopback, with two fake providers that can be told to fail."""
    import uvicorn

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8012)
    port = parser.parse_args().port
    print(__doc__, TRY.replace(":8012/", f":{port}/"), sep="\n", flush=True)
    with FakeProvider(port=18121) as openai, FakeProvider(port=18122) as kissapi:
        openai.script("gpt-5.5", lambda received: Answer(MANDATE if b"mandate" in received.body else INVOICE))
        kissapi.script("claude-sonnet-4-6", Answer(INVOICE))
        uvicorn.run(create_app(), port=port)


if __name__ == "__main__":
    main()
