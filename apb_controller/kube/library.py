"""kubernetes_asyncio without its models: what it knows of kubeconfigs, logins and TLS, and nothing else.

Importing the package as it is costs 3 seconds and 75 MB for classes of 700 kinds, of which none is used here: more than the controller
needs for itself. Its packages' own `__init__` are therefore not run.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any

NAME = "kubernetes_asyncio"


def _module(name: str) -> Any:
    return importlib.import_module(f"{NAME}.{name}")


def _load() -> tuple[Any, Any, Any]:
    """Its modules `config`, `client.configuration` and `client.rest`."""
    if NAME not in sys.modules:
        found = importlib.util.find_spec(NAME)
        if found is None or not found.submodule_search_locations:
            raise ImportError(f"{NAME} is not installed")
        [place] = found.submodule_search_locations
        _bare(NAME, place)
        client = _bare(f"{NAME}.client", f"{place}/client")
        client.Configuration = _module("client.configuration").Configuration  # type: ignore[attr-defined]
        client.ApiClient = None  # type: ignore[attr-defined]  # named by config, which uses it only where nobody here calls it
    return _module("config"), _module("client.configuration"), _module("client.rest")


def _bare(name: str, place: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = [place]
    sys.modules[name] = module
    return module


config, configuration, rest = _load()
