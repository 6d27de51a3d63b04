"""An application under schemathesis, which knows of it what /openapi.json says."""

import collections
import random

import schemathesis
from flask import Flask
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import ignored_auth

from apb_broker.lifecycle.broker import Broker
from tests import scenarios
from tests.fuzz import budget
from tests.fuzz.counting import Counted
from tests.fuzz.sensible import BINDINGS, INSTANCES, Sense
from tests.fuzz.workers import Workers

REFUSALS = ["400", "401", "403", "404", "405", "409", "410", "412", "413", "422", "429"]
CONFIG = {
    "seed": budget.SEED,
    "phases": {"stateful": {"inference": {"algorithms": []}, "generation": {"mode": "positive"}}},  # the document's own links, to get far
    "checks": {
        # What a plan takes is not in the document, so what fits it may be refused.
        "positive_data_acceptance": {"enabled": False},
        # A removal is accepted long before the instance is gone, and an instance long before it can be fetched.
        "use_after_free": {"enabled": False},
        "ensure_resource_availability": {"enabled": False},
        "negative_data_rejection": {"expected-statuses": REFUSALS},
        "missing_required_header": {"expected-statuses": REFUSALS},
    },
}


class Described:
    """Sends generated cases to an application and checks the answers."""

    def __init__(self, app: Flask, broker: Broker, workers: Workers, headers: dict[str, str]) -> None:
        self.counted = Counted(app.wsgi_app, workers)
        app.wsgi_app = self.counted  # type: ignore[method-assign]
        self.schema = schemathesis.openapi.from_wsgi("/openapi.json", app, headers=headers, config=SchemathesisConfig.from_dict(CONFIG))
        self.broker, self.workers, self.headers = broker, workers, headers
        self.failures: dict[str, str] = {}  # the first of each kind; one does not end the run, and so does not hide the others
        self.met: collections.Counter[tuple[str, int]] = collections.Counter()  # operationId, status
        self._sense, self._chance, self._sent = Sense(broker), random.Random(budget.SEED), 0

    def begin(self) -> None:
        """A database with two instances, a binding on each, and nothing begun."""
        scenarios.empty(self.broker.database)
        self.workers.forget()
        self._sent = 0
        self.workers.make(INSTANCES[:2], BINDINGS[0])

    def prepare(self, case: Case) -> None:
        """Gives a case that is about to be sent sense: the same at the same place of a scenario, since Hypothesis repeats beginnings."""
        self._sent += 1
        query = {name: value for name, value in case.query.items() if name != "operation"}  # which differs each time
        self._chance = random.Random(f"{budget.SEED}/{self._sent}/{case.method}/{case.path}/{query}/{case.body}")
        self._sense.give(case, self._chance)

    def check(self, case: Case, response: Response) -> None:
        """Compares an answer with what the document says. Whether logins are checked is asked a few times only: it takes three requests."""
        self.met[case.operation.definition.raw["operationId"], response.status_code] += 1
        try:
            case.validate_response(
                response,
                excluded_checks=[] if self._chance.random() < 0.05 else [ignored_auth],
                headers=self.headers,
                transport_kwargs={"headers": self.headers},
            )
        except FailureGroup as group:
            for failure in group.exceptions:
                self.failures.setdefault(f"{case.method} {case.path}: {type(failure).__name__}", f"{failure}\n{group.message}")

    def go_on(self) -> None:
        """What happens between two requests."""
        self.workers.work_a_little(self._chance)

    def send(self, case: Case) -> None:
        """Sends a case, checks the answer, and lets workers go on."""
        self.prepare(case)
        self.check(case, case.call(headers=self.headers))
        self.go_on()

    def succeeded(self) -> set[str]:
        """The operationIds that were answered with a 2xx at least once."""
        return {operation for operation, status in self.met if status < 300}

    def report(self) -> str:
        """What went wrong, and how to have it again."""
        return "\n".join(
            [*(f"== {kind}\n{text}" for kind, text in list(self.failures.items())[:5]), f"{self.counted.answers}", budget.told()]
        )
