"""What of Ansible the warm process has loaded before any run, and what each process that becomes an ansible-playbook makes anew.

Code is loaded, nothing is run: a playbook run here would leave its state (options, passwords, names already told) to all
later ones. What ansible-core keeps from its start, and must not be two runs', is made anew by `become_playbook`; it uses
private names, so that only those versions are used that the tests ran with.
"""

import atexit
import gc
import importlib
import os
import pkgutil
import secrets
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from apb_broker.execution import environment, playbook_runner
from apb_broker.execution.warm import templates, titles

TESTED = ("2.19.14",)
"""Versions of ansible-core that the tests of equal results have passed with. Others run cold."""

COLLECTION = "ansible_collections.apb.catalog"
# What roles of any service use, and what ansible-playbook itself needs in each run.
PLUGINS = {
    "action": (
        *("assert", "command", "copy", "debug", "fail", "include_vars", "normal", "set_fact", "set_stats", "shell", "template"),
        "validate_argument_spec",
    ),
    "cache": ("memory",),
    "callback": ("default", "junit", "minimal", "oneline", "tree"),
    "inventory": ("auto", "host_list", "ini", "script", "toml", "yaml"),
    "strategy": ("linear",),
    "vars": ("host_group_vars",),
}
ALL_OF = ("become", "connection", "shell")  # of which ansible-playbook loads each in each run, to know the names of their variables
MODULES = (
    "ansible.module_utils._internal._json._profiles._module_legacy_c2m",
    "ansible.module_utils._internal._json._profiles._module_legacy_m2c",
    "ansible.playbook.handler_task_include",
    "cryptography.hazmat.primitives.ciphers.aead",
    "multiprocessing.popen_fork",
    "multiprocessing.synchronize",
)
OF_A_RUN = ("ANSIBLE_LOCAL_TEMP", "ANSIBLE_SSH_CONTROL_PATH_DIR", "TMPDIR", "AWX_ISOLATED_DATA_DIR")  # read anew, or made anew

_loaded_with: dict[str, str] = {}


class Unfit(Exception):
    """What is installed here cannot be used warm. The message says what."""


def check_version() -> None:
    """Raises Unfit unless the installed ansible-core is one that was tested."""
    found = metadata.version("ansible-core")
    if found not in TESTED:
        raise Unfit(f"ansible-core {found} is none of those that it was tested with ({', '.join(TESTED)})")


def load() -> None:
    """Everything, with the settings that ansible-playbook will have. Leaves no file and no open descriptor."""
    check_version()
    ours = dict(os.environ)
    scratch = Path(tempfile.mkdtemp(prefix="apb-warm-"))
    try:
        os.chdir(scratch)  # where Ansible would look for an ansible.cfg; a run's own directory has none
        settings = playbook_runner.environment_of_playbook(scratch)
        os.environ.update(settings)
        _load_ansible()
        _loaded_with.update(_lasting(settings))
    finally:
        os.environ.clear()
        os.environ.update(ours)
        os.chdir("/")
        _forget_temporary()
        shutil.rmtree(scratch, ignore_errors=True)
    gc.collect()
    gc.freeze()  # what is here stays for good: no collection in a fork needs to write to its pages


def _load_ansible() -> None:
    from ansible.cli import playbook  # noqa: F401 - all that ansible-playbook imports
    from ansible.plugins import loader
    from ansible.vars import clean

    loader.init_plugin_loader()
    _read_documentation_once()
    importlib.import_module("ansible_collections.ansible.builtin")  # its table of names takes 50 ms to read
    for kind, names in PLUGINS.items():
        for name in names:
            getattr(loader, f"{kind}_loader").get(name, class_only=True)
    for kind in ALL_OF:
        list(getattr(loader, f"{kind}_loader").all(class_only=True))
    for module in MODULES:
        importlib.import_module(module)
    loader.vars_loader._plugin_instance_cache.clear()  # it would give out the class for an instance
    for package in ("module_utils", "plugin_utils", "action", "lookup", "modules"):
        for found in pkgutil.iter_modules(importlib.import_module(f"{COLLECTION}.plugins.{package}").__path__):
            importlib.import_module(f"{COLLECTION}.plugins.{package}.{found.name}")
            if package == "action":
                loader.action_loader.get(f"apb.catalog.{found.name}", class_only=True)
    importlib.import_module("apb_broker.execution.executors.warm")
    _begin_openssl()
    templates.load(Path(importlib.import_module(COLLECTION).__path__[0]))
    clean.clean_facts({})  # compiles a pattern for each kind of connection
    _read_files_without_copies()


def _begin_openssl() -> None:
    """It reads its tables at the first cipher, which takes each process that seals or unseals a result 5 ms."""
    sealed_results = importlib.import_module(f"{COLLECTION}.plugins.module_utils.sealed_results")
    key = sealed_results.new_key()
    sealed_results.unseal(sealed_results.seal({}, key), key)


def _read_documentation_once() -> None:
    """Of plugins that have no options Ansible does not remember that it looked for them."""
    from ansible.plugins.loader import PluginLoader

    read, seen = PluginLoader._load_config_defs, set()

    def load_config_defs(self: Any, name: str, module: Any, path: str) -> None:
        if (self.class_name, name, path) not in seen:
            read(self, name, module, path)
            seen.add((self.class_name, name, path))

    PluginLoader._load_config_defs = load_config_defs


def _read_files_without_copies() -> None:
    """A file that is read once needs no second copy of what was parsed, which takes longer to make than parsing it again."""
    from ansible.parsing.dataloader import DataLoader

    read = DataLoader.load_from_file

    def load_from_file(self: Any, file_name: str, cache: str = "all", unsafe: bool = False, **options: Any) -> Any:
        return read(self, file_name, cache="none", unsafe=True, **options)

    DataLoader.load_from_file = load_from_file


def _lasting(settings: Mapping[str, str]) -> dict[str, str]:
    """Of an environment of ansible-playbook what it reads once at its start, without what is each run's own."""
    return {name: value for name, value in settings.items() if name not in OF_A_RUN}


def _forget_temporary() -> None:
    from ansible.config import manager

    atexit.unregister(manager.cleanup_tmp_file)
    tempfile.tempdir = None


def loaded_paths() -> Iterator[str]:
    """What a change of makes what is loaded here wrong: code, configuration, and the places where other code would be found first."""
    from ansible import constants
    from ansible.plugins import loader

    standard = sysconfig.get_path("stdlib")
    installed = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and (file.startswith(installed) or not file.startswith(standard)):
            yield file
    yield from map(str, environment.configuration_files(os.environ))
    for root in dict.fromkeys([*constants.COLLECTIONS_PATHS, *sys.path]):
        collections = Path(root).expanduser() / "ansible_collections"
        yield str(collections)
        yield from map(str, collections.glob("*"))
    own = str(Path(loader.__file__).parent.parent)
    for _, plugins in loader.get_all_plugin_loaders():
        yield from (path for path in plugins._get_paths() if not path.startswith(own))


def become_playbook(command: list[str], settings: dict[str, str]) -> None:
    """Run ansible-playbook with these arguments and this environment here, in a fresh fork of a runner. Does not return.

    It does where the settings are not those that Ansible was loaded with here: then the program is to be executed.
    """
    if not _loaded_with or _lasting(settings) != _loaded_with:
        return
    code = 1
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        titles.rename([sys.executable, *command])
        _make_anew(command, settings)
        code = _run_cli(command)
    finally:
        _leave(code)


def _make_anew(command: list[str], settings: dict[str, str]) -> None:
    """What a freshly started ansible-playbook has of its own."""
    os.environ.clear()
    os.environ.update(settings)
    time.tzset()
    sys.argv = list(command)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=os.isatty(stream.fileno()))  # type: ignore[union-attr]
    _make_ansible_anew()


def _make_ansible_anew() -> None:
    from ansible import constants
    from ansible.plugins import loader
    from ansible.utils import display, vars

    vars.cur_id, vars.random_int = 0, secrets.token_hex(4)  # ids of plays and tasks begin with it
    constants.set_constant("DEFAULT_LOCAL_TMP", constants.config.get_config_value("DEFAULT_LOCAL_TMP"))
    for _, plugins in loader.get_all_plugin_loaders():
        plugins._searched_paths = set()
    loader._configure_collection_loader = lambda *_: None  # it is, and would warn of that
    shown = display.Display()
    for told in (shown._deprecations, shown._warns, shown._errors):
        told.clear()
    shown._set_column_width()
    for stream in (sys.stdout, sys.stderr):
        display._synchronize_textiowrapper(stream, shown._lock)  # which a fork has undone


def _run_cli(command: list[str]) -> Any:
    from ansible.cli.playbook import PlaybookCLI

    try:
        PlaybookCLI.cli_executor(list(command))
    except SystemExit as end:
        return end.code
    return 0


def _leave(code: Any) -> NoReturn:
    """As a program ends; never up the stack, on which the code of runner, supervisor and warm process lies."""
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def mark_runner(directory: Path) -> None:
    """This process and all it will fork belong to the run of that directory, which is how what a run has left is found."""
    titles.mark(str(directory))
