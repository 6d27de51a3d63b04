"""`apb config check` on the command line."""

import json

GOOD = """\
apb: 1
users: [{name: admin, password_file: admin.password, roles: [platform]}]
roles: [{name: apb.catalog.redis}]
targets: {local: {mode: host, hosts: [{name: localhost, address: 127.0.0.1, memory_gb: 2}], ports: 21000-21999}}
offers: [{plan: redis/redis-standard, mode: host, targets: [local]}]
"""


def test_config_check_shows_what_is_offered(apb, tmp_path):
    """A table for people, a document for programs, exit code 0."""
    (tmp_path / "admin.password").touch(0o600)
    (tmp_path / "admin.password").write_text("hush-hush")
    (tmp_path / "apb.yml").write_text(GOOD)
    result = apb("config", "check", "--state-dir", str(tmp_path))
    assert result.exit_code == 0
    assert "redis-standard" in result.stdout
    assert "localhost (127.0.0.1, 2 GB)" in result.stdout
    document = json.loads(apb("config", "check", str(tmp_path / "apb.yml"), "-o", "json").stdout)
    assert (document["mistakes"], document["offers"][0]["plan"]) == ([], "redis-standard")


def test_config_check_fails_with_every_mistake(apb, tmp_path):
    """One line for each, on stdout as the result; the count on stderr."""
    (tmp_path / "apb.yml").write_text(GOOD.replace("users", "user").replace("21000-21999", "x"))
    result = apb("config", "check", str(tmp_path / "apb.yml"))
    assert result.exit_code == 1
    assert "user: is unknown; did you mean 'users'?" in result.stdout
    assert result.stderr == "apb: 3 mistakes: the broker would not work with this file\n"
