"""A clinic: leaflets that survive a failing provider, and a triage that only an approved model may see."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litestar import Controller, Litestar, get, post
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel

from lanewise import Router
from lanewise.testing import Answer, FakeProvider
from litestar_lanewise import LanewisePlugin, RequestScope, RoutedClient, sensitive, standard

TOPICS = {
    "knee": "Exercises after a knee operation, for patients at home.",
    "sleep": "How to sleep better without medicine.",
}

TRY = """
Try, from another terminal (Ctrl-C ends this):

  # a leaflet
  curl -X POST http://127.0.0.1:8013/leaflets/knee
  # break the primary: leaflets go on, by another route
  curl http://127.0.0.1:18131/_fake/script -d '{"behaviours": [{"kind": "status", "status": 500}], "model": "gpt-5.5"}'
  # a triage is sensitive: with its one approved route broken it fails closed
  curl -i http://127.0.0.1:8013/patients/triage -d '{"age": 61, "complaint": "My knee is warm and swollen."}'
"""


@dataclass
class Leaflet:
    """A text to take home, and who wrote it."""

    text: str | None
    route: str | None
    why: str


@dataclass
class Symptoms:
    """What a patient tells at the desk."""

    age: int
    complaint: str


class Assessment(BaseModel):
    """How soon a patient must be seen, and why: the form that the model has to answer in."""

    urgency: Literal["now", "today", "this week"]
    reason: str


@dataclass
class Triage:
    """An assessment, and who made it."""

    assessment: Assessment
    route: str | None


@get("/")
@standard
async def topics() -> dict[str, str]:
    """What there are leaflets about."""
    return TOPICS


@post("/leaflets/{topic:str}")
@standard
async def write_leaflet(topic: FromPath[str], ai: RoutedClient, ai_scope: RequestScope) -> Leaflet:
    """A leaflet, from whichever route can answer."""
    if topic not in TOPICS:
        raise NotFoundException(f"There is no leaflet about {topic!r}.")
    reply = await ai.chat.completions.create(
        model="leaflet",
        messages=[
            {"role": "system", "content": "Write a leaflet of one page, in plain words."},
            {"role": "user", "content": TOPICS[topic]},
        ],
        seed=1,
    )
    call = ai_scope.call_for(reply)
    return Leaflet(text=reply.choices[0].message.content, route=call.route, why=call.explain())


class Patients(Controller):
    """All that is about patients is medical: it is answered by an approved route, or not at all."""

    path = "/patients"
    guards = [sensitive("medical")]  # noqa: RUF012

    @post("/triage")
    async def triage(self, data: JSONBody[Symptoms], ai: RoutedClient, ai_scope: RequestScope) -> Triage:
        """How soon this patient must be seen."""
        reply = await ai.chat.completions.parse(
            model="triage",
            messages=[
                {"role": "system", "content": "Assess by the clinic's rules how soon this patient must be seen."},
                {"role": "user", "content": f"Age {data.age}. {data.complaint}"},
            ],
            response_format=Assessment,
        )
        assessment = reply.choices[0].message.parsed
        if assessment is None:  # a refusal; a person looks
            assessment = Assessment(urgency="now", reason="The model would not say.")
        return Triage(assessment=assessment, route=ai_scope.call_for(reply).route)


def create_app(router: Router | None = None) -> Litestar:
    """The app. Without a router it reads the file beside this one."""
    plugin = LanewisePlugin(
        router or Path(__file__).with_name("lanewise.toml"),
        subject=lambda connection: connection.headers.get("X-Desk"),  # an app with logins gives the user here
    )
    return Litestar(
        [topics, write_leaflet, Patients], plugins=[plugin], openapi_config=OpenAPIConfig("Clinic", "1.0.0")
    )


def main() -> None:
    """Serve the app on loopback, with two fake providers that can be told to fail."""
    import uvicorn

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8013)
    port = parser.parse_args().port
    print(__doc__, TRY.replace(":8013/", f":{port}/"), sep="\n", flush=True)
    assessment = Assessment(urgency="today", reason="Assessed by the flagship.").model_dump_json()
    with FakeProvider(port=18131) as openai, FakeProvider(port=18132) as kissapi:
        openai.script(
            "gpt-5.5", lambda received: Answer(assessment if b"Age " in received.body else "Written by the flagship.")
        )
        kissapi.script("claude-sonnet-4-6", Answer("Written by its standby."))
        uvicorn.run(create_app(), port=port)


if __name__ == "__main__":
    main()
