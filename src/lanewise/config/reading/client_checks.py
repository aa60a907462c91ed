"""Whether a client of the endpoint can be served: its tasks have approved routes, and its keys are its own."""

from __future__ import annotations

from lanewise.config.mistakes import MistakeCollector, Place, quoted
from lanewise.config.reading.sections import Sections
from lanewise.config.reading.weak_keys import guessable
from lanewise.config.tables.clients import Client
from lanewise.config.tables.sensitive import approved_routes
from lanewise.config.tables.tasks import Task

__all__ = ["check_client", "check_client_keys"]


def check_client(place: Place, client: Client, sections: Sections, findings: MistakeCollector) -> None:
    for name in client.tasks or ():
        findings.expect_declared((*place, "tasks"), "task", name, sections.declared["tasks"])
    if client.sensitive is None:
        return
    findings.expect_declared(
        (*place, "sensitive"), "sensitive category", client.sensitive, sections.declared["sensitive"]
    )
    for name in client.tasks or ():
        if (task := sections.tasks.get(name)) is not None and not _may_be_answered(client.sensitive, task, sections):
            problem = f"no route of the task {quoted(name)} is approved for {quoted(client.sensitive)}"
            findings.add((*place, "tasks"), problem, "Leave the task out, or give it an approved route.")


def _may_be_answered(mark: str, task: Task, sections: Sections) -> bool:
    """Whether some route of a task is approved for the client's sensitive category and the task's own."""
    marks = {mark} if task.sensitive is None else {mark, task.sensitive}
    categories = [sections.sensitive[each] for each in marks if each in sections.sensitive]
    if any(category.on_failure == "review" for category in categories) or len(categories) < len(marks):
        return True  # it is left to a person, or is not declared, which is a mistake already
    return not approved_routes(categories).isdisjoint(task.routes)


def check_client_keys(sections: Sections, findings: MistakeCollector) -> None:
    """One key is one client's, and nobody must be able to guess it from a list of words."""
    owners: dict[str, str] = {}
    for name, client in sections.clients.items():
        for digest in client.key:
            if owners.setdefault(digest, name) != name:
                findings.add(("clients", name, "key"), f"{quoted(owners[digest])} has the same key", "Give each one.")
    if not owners:
        return
    digests = {digest.removeprefix("sha256:"): name for digest, name in owners.items()}
    for digest in guessable(frozenset(digests), (*sections.clients, *sections.tasks, *sections.sensitive)):
        findings.add(
            ("clients", digests[digest], "key"),
            "this is the digest of a text that anybody would guess",
            "`lanewise keys create NAME` makes a key of 256 random bits, and prints the line that belongs here.",
        )
