"""The examples of docs/osb.md: a curl command, what is answered, and what the broker's worker does between them.

Commands are read as a shell would: `$name` is what an earlier answer called `<name>`. In answers `…` stands for anything: a value, further
fields of an object (`"…": "…"`), further entries of a list.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

BLOCK = re.compile(
    r"^```(?P<kind>sh|http)\n(?P<text>.*?)^```$|^<!-- (?P<event>(?:meanwhile )?the operation .*?) -->$", re.MULTILINE | re.DOTALL
)
ANYTHING = "…"
NAME = re.compile(r"<(\w+)>")


@dataclass(frozen=True)
class Request:
    """What a curl command asks for."""

    method: str
    path: str
    headers: dict[str, str]
    body: str | None


@dataclass(frozen=True)
class Answer:
    """What is to be answered; the body is None where there is none."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Example:
    """A request and its answer, after and while something happens: "the operation succeeds", "… with credentials", "… fails: why"."""

    request: Request
    answer: Answer
    events: list[str] = field(default_factory=list)


def read(document: str) -> list[Example]:
    """All examples, in order. Raises ValueError for a command without an answer, or the other way round."""
    found: list[Example] = []
    events: list[str] = []
    command: str | None = None
    for block in BLOCK.finditer(document):
        if block["event"]:
            events.append(block["event"])
        elif block["kind"] == "sh" and not block["text"].startswith("curl "):
            continue
        elif (block["kind"] == "sh") != (command is None):
            raise ValueError(f"a command and its answer belong together: {block['text']}")
        elif command is None:
            command = block["text"]
        else:
            found.append(Example(_request(command), _answer(block["text"]), events))
            command, events = None, []
    return found


def _request(command: str) -> Request:
    line, _, rest = command.partition("\n")
    line, _, heredoc = line.partition(" <<")
    words = shlex.split(line)
    options = {"-K": "", "-X": "GET", "--json": ""}
    headers, urls = {}, []
    arguments = iter(words[1:])
    for word in arguments:
        if word == "-H":
            name, _, value = next(arguments).partition(": ")
            headers[name] = value
        elif word in options:
            options[word] = next(arguments)
        else:
            urls.append(word)
    (url,) = urls
    body = rest.removesuffix(f"{heredoc.strip(chr(39))}\n") if heredoc else None
    if (options["-K"], options["--json"]) != ("apb.curl", "@-" if heredoc else ""):
        raise ValueError(f"credentials come from a file and bodies from stdin: {line}")
    return Request(options["-X"], url.removeprefix("$APB"), headers, body)


def _answer(text: str) -> Answer:
    head, _, body = text.partition("\n\n")
    first, *lines = head.strip().split("\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), headers, json.loads(body) if body.strip() else None)


def filled(text: str, known: dict[str, str]) -> str:
    """The text with its `$names`. Raises KeyError for one that no answer had."""
    return re.sub(r"\$(\w+)", lambda name: known[name[1]], text)


def differences(expected: Any, found: Any, known: dict[str, str], where: str = "body") -> Iterator[str]:
    """Where an answer is not as it should be; what it calls `<name>` is remembered in `known`."""
    if expected == ANYTHING:
        return
    if isinstance(expected, str) and (name := NAME.fullmatch(expected)):
        if not isinstance(found, str) or not found:
            yield f"{where}: {found!r} is no text"
        known[name[1]] = str(found)
    elif isinstance(expected, dict) and isinstance(found, dict):
        listed = expected.keys() - {ANYTHING}
        if found.keys() - listed and ANYTHING not in expected:
            yield f"{where}: has more fields: {sorted(found.keys() - listed)}"
        for key in sorted(listed):
            if key in found:
                yield from differences(expected[key], found[key], known, f"{where}.{key}")
            else:
                yield f"{where}.{key}: is missing"
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found) and expected[-1:] != [ANYTHING]:
            yield f"{where}: has {len(found)} entries, not {len(expected)}"
        for index, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from differences(one, other, known, f"{where}[{index}]")
    elif expected != found:
        yield f"{where}: {found!r} instead of {expected!r}"
