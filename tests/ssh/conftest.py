"""Two prepared hosts and a broker that has them as a target."""

from collections.abc import Iterator

import pytest

from apb_broker.lifecycle.broker import Broker
from tests.ssh import hosts, site


@pytest.fixture(scope="session", autouse=True)
def possible() -> None:
    """Skips all of it where there can be no such hosts."""
    if reason := hosts.missing():
        pytest.skip(reason)


@pytest.fixture(scope="module", name="site")
def prepared_site(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[site.Site]:
    """Running hosts, prepared for instances by their operator, and a state directory of a broker that knows them."""
    with site.prepared(tmp_path_factory.mktemp("ssh"), ("alpha", "beta"), database_url) as made:
        yield made


@pytest.fixture
def far(site: site.Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """The broker of the site, on an empty database."""
    with site.broker(monkeypatch) as broker:
        yield broker
