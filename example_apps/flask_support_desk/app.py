"""A support desk: ticket summaries that survive a failing provider, and refunds that only one model may decide."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Request, Response, abort, request

from flask_lanewise import Lanewise, dashboard_blueprint, sensitive, standard
from lanewise import Router
from lanewise.testing import Answer, FakeProvider

TICKETS = {
    1: "Hello, my parcel was promised for Monday. It is Thursday, and the tracking page shows nothing. Ana Ruiz",
    2: "The kettle that I bought from you stopped working after two days. I would like my 49 euros back. Tom Berg",
    4: "The lamp works again, thank you! Lea Roth",
}

TRY = """
Try, from another terminal (Ctrl-C ends this):

  # a summary, and which route wrote it
  curl -X POST http://127.0.0.1:5005/tickets/1/summary
  # break the primary: summaries go on, by another route
  curl http://127.0.0.1:18101/_fake/script -d '{"behaviours": [{"kind": "status", "status": 500}], "model": "gpt-5.5"}'
  # see in a browser which route is on stage, and each call's timeline: http://127.0.0.1:5005/_lanewise/
  # a refund is sensitive: with its one approved route broken it fails closed
  curl -i -X POST http://127.0.0.1:5005/tickets/2/refund
"""


def create_app(router: Router | None = None) -> Flask:
    """The app. Without a router it reads the file beside this one."""
    app = Flask(__name__)
    ai = Lanewise(app, router or Path(__file__).with_name("lanewise.toml"), subject=lambda: request.remote_addr)

    # Who may look is for the app's own login to say; this one has none, and is for this machine.
    page = dashboard_blueprint(ai, allow=on_this_machine, may_operate=lambda request: "the desk")
    app.register_blueprint(standard(page))

    @app.get("/")
    @standard
    def tickets() -> dict[int, str]:
        """All tickets."""
        return TICKETS

    @app.post("/tickets/<int:number>/summary")
    @standard
    def summarize(number: int) -> dict[str, str | None]:
        """One line for the overview, and who wrote it."""
        reply = ai.openai.chat.completions.create(
            model="ticket-summary",
            messages=[
                {"role": "system", "content": "Summarize the customer's message in one line."},
                {"role": "user", "content": ticket(number)},
            ],
            seed=1,
        )
        call = ai.scope.call_for(reply)
        return {"summary": reply.choices[0].message.content, "route": call.route, "why": call.explain()}

    @app.get("/tickets/<int:number>/reply")
    @standard
    def draft(number: int) -> Response:
        """A reply to the customer, as it is being written."""
        messages = [{"role": "user", "content": f"Answer this customer: {ticket(number)}"}]
        client = ai.openai  # a stream keeps its client, also when the request's context is gone

        def write() -> Iterator[str]:
            for chunk in client.chat.completions.create(model="ticket-summary", messages=messages, stream=True):
                yield "".join(choice.delta.content or "" for choice in chunk.choices)

        return Response(write(), mimetype="text/plain")

    @app.post("/tickets/<int:number>/refund")
    @sensitive("payment")
    def refund(number: int) -> dict[str, str | None]:
        """Whether the customer gets the money back: decided by an approved route, or not at all."""
        reply = ai.openai.chat.completions.create(
            model="refund-decision",
            messages=[
                {"role": "system", "content": "Decide by our rules whether this customer gets a refund."},
                {"role": "user", "content": ticket(number)},
            ],
        )
        return {"decision": reply.choices[0].message.content, "route": ai.scope.call_for(reply).route}

    return app


def on_this_machine(request: Request) -> bool:
    """Whether a request comes over the loopback."""
    return request.remote_addr == "127.0.0.1"


def ticket(number: int) -> str:
    """The text of a ticket, or a 404."""
    return TICKETS.get(number) or abort(404)


def main() -> None:
    """Serve the app on loopback, with two fake providers that can be told to fail."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=5005)
    port = parser.parse_args().port
    print(__doc__, TRY.replace(":5005/", f":{port}/"), sep="\n", flush=True)
    with FakeProvider(port=18101) as openai, FakeProvider(port=18102) as kissapi:
        openai.script("gpt-5.5", Answer("Written by the flagship."))
        kissapi.script("claude-sonnet-4-6", Answer("Written by its standby."))
        kissapi.script("gpt-5.5-mini", Answer("Written by the small one."))
        create_app().run(port=port)


if __name__ == "__main__":
    main()
