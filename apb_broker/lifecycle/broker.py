"""What the rules work with: the database, the catalog and the operator's settings, handed to each of them."""

from dataclasses import dataclass

from apb_broker.catalog.catalog import Catalog
from apb_broker.catalog.config import Settings
from apb_broker.storage.database import Database


@dataclass(frozen=True)
class Broker:
    """One broker: where it keeps its state, what it offers, how it is set."""

    database: Database
    catalog: Catalog
    settings: Settings
