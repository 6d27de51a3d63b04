"""How often logins failed lately, by where they came from: after too many, nothing from there is looked at for a while."""

import functools
import ipaddress
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
MAX_PLACES = 10_000
MAX_PLACE_CHARACTERS = 64
PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[0-9.]+))(?::[0-9]*)?")  # some proxies tell the port, too


@functools.lru_cache(maxsize=1024)
def place_of(address: str) -> str:
    """What is counted as one: an IPv4 address, a /64 of IPv6 (that much everybody has), else the text as it is."""
    parts = PORT.fullmatch(address)
    try:
        found = ipaddress.ip_address((parts["v6"] or parts["v4"]) if parts else address)
    except ValueError:
        return address[:MAX_PLACE_CHARACTERS]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found), 64), strict=False))


@dataclass
class _Window:
    began: float
    failures: int = 0


class FailedLogins:
    """Counts by minutes that begin with a place's first failure. Bounded: the oldest minute gives way. Safe for threads."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic, max_places: int = MAX_PLACES) -> None:
        self._per_minute, self._clock, self._max_places = per_minute, clock, max_places
        self._windows: dict[str, _Window] = {}  # in the order they began
        self._lock = threading.Lock()

    def blocked_seconds(self, place: str) -> float:
        """For how long nothing from there is looked at; 0.0 when it is."""
        with self._lock:
            window = self._windows.get(place)
            if window is None or window.failures < self._per_minute:
                return 0.0
            return max(0.0, window.began + WINDOW_SECONDS - self._clock())

    def add(self, place: str) -> bool:
        """One more. True when it is the last that is looked at."""
        with self._lock:
            now = self._clock()
            window = self._windows.get(place)
            if window is None or now - window.began >= WINDOW_SECONDS:
                window = self._begin(place, now)
            window.failures += 1
            return window.failures == self._per_minute

    def _begin(self, place: str, now: float) -> _Window:
        self._windows.pop(place, None)
        if len(self._windows) >= self._max_places:
            del self._windows[next(iter(self._windows))]
        window = self._windows[place] = _Window(now)
        return window

    def __len__(self) -> int:
        return len(self._windows)
