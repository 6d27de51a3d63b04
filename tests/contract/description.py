"""What /openapi.json says about an answer, and whether the answer is so: every answer of the contract's tests is held against it."""

import functools
import re
from typing import Any
from urllib.parse import urlsplit

import jsonschema
from flask import Flask
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from apb_broker.admin import description as of_admin
from apb_broker.osb import description as of_osb
from apb_broker.web import description as of_web
from apb_broker.web import openapi


class Description:
    """A document of a broker."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("urn:broker", resource)
        self._paths = {path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in document["paths"]}

    def fits(self, value: Any, name: str) -> bool:
        """Whether a value is what that schema describes."""
        return self._validator(f"#/components/schemas/{name}").is_valid(value)

    def check(self, method: str, url: str, response: Any) -> None:
        """Fails when a route that is described answers in another way. Routes that there are not are nobody's."""
        path = next((path for path, pattern in self._paths.items() if pattern.fullmatch(urlsplit(url).path)), None)
        operation = None if path is None else self.document["paths"][path].get(method.lower())
        if operation is None:
            return
        answers = operation["responses"]
        status = str(response.status_code)
        assert status in answers or status[0] == "5", f"{method} {path}: {status} is not described: {response.data!r}"
        answer = answers[status] if status in answers else answers["5XX"]
        if "$ref" in answer:
            answer = self.document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        self._check_content(f"{method} {path}: {status}", answer.get("content"), response)

    def _check_content(self, what: str, content: dict[str, Any] | None, response: Any) -> None:
        if content is None:
            assert response.data == b"", what
            return
        assert response.mimetype in content, f"{what}: {response.mimetype}"
        reference = content[response.mimetype]["schema"].get("$ref")
        if reference is not None:
            errors = [f"{error.json_path}: {error.message}" for error in self._validator(reference).iter_errors(response.json)]
            assert not errors, f"{what}: {errors}"

    @functools.cache  # noqa: B019 - there is one description of all tests
    def _validator(self, reference: str) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator({"$ref": f"urn:broker{reference}"}, registry=self._registry)


_made: list[Description] = []


def of(app: Flask) -> Description:
    """The description of an application; all have the same."""
    if not _made:
        _made.append(Description(openapi.document(app, {**of_web.OPERATIONS, **of_osb.OPERATIONS, **of_admin.OPERATIONS})))
    return _made[0]
