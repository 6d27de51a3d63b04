"""What the workers wrote down about each operation, as it comes in; see worker.py."""

import json
import threading
import time

OVER_SECONDS = 0.5  # between two questions whether the operation has ended: each is a connection to the database


class Journal:
    """Follows the file; anybody may wait for something in it."""

    def __init__(self, path):
        path.touch(0o600)
        self._path, self._lines, self._read_to = path, [], 0
        self._lock = threading.Lock()

    def lines(self, operation=None):
        """All lines so far, or those of an operation."""
        with self._lock, self._path.open("rb") as file:
            file.seek(self._read_to)
            whole, newline, _rest = file.read().rpartition(b"\n")
            self._read_to += len(whole) + len(newline)
            self._lines += [json.loads(line) for line in whole.splitlines()]
            return [line for line in self._lines if operation in (None, line["operation"])]

    def wait(self, operation, reached, *, is_over, seconds):
        """Until `reached` gives something for the operation's lines; that. None when the operation is over before, or time is."""
        end, next_question, over = time.monotonic() + seconds, time.monotonic() + OVER_SECONDS, False
        while time.monotonic() < end:
            if found := reached(self.lines(operation)):
                return found
            if over:
                return None
            if time.monotonic() > next_question:
                over, next_question = is_over(), time.monotonic() + OVER_SECONDS  # what was written until now is seen once more
            time.sleep(0.005)
        return None

    def supervisors(self, operation):
        """Those of all its runs, and when each was born."""
        return {line["supervisor"]: line["born"] for line in self.lines(operation) if line["event"] == "started"}

    def problems(self):
        """What must not be, whatever happened: two runs at a time, an end told twice, a word of an owner that was given up on taken."""
        found = []
        for operation in {line["operation"] for line in self.lines()}:
            lines = self.lines(operation)
            epochs = [line["epoch"] for line in lines if line["event"] == "claimed"]
            taken = [line for line in lines if line["event"] == "finished" and line["accepted"] and line["status"] == "succeeded"]
            what = f"{lines[0]['action']} of {lines[0]['instance']} (operation {operation})"
            for line in lines:
                if line["event"] == "started" and line["overlapping"]:
                    story = self._story(line["instance"], line["overlapping"])
                    found.append(f"{what}: run with epoch {line['epoch']} beside processes of older runs: {line['overlapping']}\n{story}")
            if taken and taken[-1]["epoch"] < max(epochs):
                found.append(f"{what}: the result of epoch {taken[-1]['epoch']} was taken, and it was claimed with {max(epochs)}")
            if epochs != sorted(set(epochs)):
                found.append(f"{what}: epochs do not grow: {epochs}")
            if len(taken) > 1:
                found.append(f"{what}: succeeded twice")
        return found

    def _story(self, instance, overlapping):
        """What happened to the instance, and what else the workers did whose runs are still there."""
        lines, supervisors = self.lines(), [int(each) for each in overlapping]
        workers = {line["worker"] for line in lines if line.get("supervisor") in supervisors}
        told = [line for line in lines if line["instance"] == instance or line["worker"] in workers]
        names = ("at", "instance", "action", "event", "epoch", "worker", "supervisor", "status", "accepted", "text")
        return "\n".join("    " + " ".join(str(line.get(name, "-")) for name in names) for line in told)
