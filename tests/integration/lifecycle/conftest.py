"""A broker that offers boxes on several hosts and a shared server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker.lifecycle.broker import Broker
from tests import boxes


@pytest.fixture
def box_broker(make_broker: Callable[[str], Broker], tmp_path: Path) -> Broker:
    """Host a (4 GB) of target one, hosts b (4 GB) and c (3 GB) of target two, and a server for two instances."""
    return make_broker(boxes.write(tmp_path))
