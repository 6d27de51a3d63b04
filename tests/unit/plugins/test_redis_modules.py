"""What the Redis modules work out without a server."""

import hashlib

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import redis_acl_user, redis_config, redis_tenant
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError


def params(**given):
    return {"name": "b1", "password": None, "password_hashes": None, "rules": ["~*", "+@read"], "rules_if_known": [], **given}


def test_account_is_made_from_nothing():
    """Passwords are hashed before they leave the controller, and nothing of an earlier account stays."""
    hashed = hashlib.sha256(b"secret").hexdigest()
    assert redis_acl_user.definition(params(password="secret")) == ["reset", "on", f"#{hashed}", "~*", "+@read"]
    assert redis_acl_user.definition(params(password="secret", password_hashes=[hashed]))[:3] == ["reset", "on", f"#{hashed}"]


@pytest.mark.parametrize(
    "given", [{}, {"password_hashes": ["XYZ"]}, {"password": "p", "rules": ["nopass"]}, {"password": "p", "rules": [">other"]}]
)
def test_account_without_a_password_of_its_own_is_refused(given):
    """No account without password, and none by a side door."""
    with pytest.raises(RedisError):
        redis_acl_user.definition(params(**given))


@pytest.mark.parametrize(("value", "expected"), [(True, "yes"), (False, "no"), (536870912, "536870912"), ("noeviction", "noeviction")])
def test_setting_is_written_as_the_server_gives_it_back(value, expected):
    """Only so can equal be told from different."""
    assert redis_config.text(value) == expected


@pytest.mark.parametrize("answer", [["name", "b1", "passwords", ["abc"], "keys", "~*"], {"passwords": ["abc"], "keys": "~*"}])
def test_diff_of_an_account_shows_no_password(answer):
    """Not even as a hash."""
    assert "abc" not in str(redis_acl_user.shown(answer))


def test_accounts_of_a_tenant_are_those_with_its_keys_and_no_others():
    """Names are not known any more when an instance goes: what an account may touch says whose it is."""
    lines = [
        "user apb on #ab ~* &* +@all",
        "user default off resetchannels -@all",
        "user writer on #ab sanitize-payload ~p:* resetchannels &p:* -@all +get",
        "user reader on #ab %R~p:* resetchannels &p:* -@all +get",
        "user neighbour on #ab ~p:x:* resetchannels -@all +get",
        "user other on #ab ~pp:* resetchannels &p:* -@all +get",
        "user operators on #ab ~p:* ~q:* resetchannels -@all +get",
        "user everything on #ab ~p:* resetchannels -@all +get (~* +get)",
        "user channels on #ab resetchannels &p:* -@all +publish",
    ]
    assert redis_tenant.accounts_of(lines, "p:") == ["writer", "reader"]


@pytest.mark.parametrize("prefix", ["", ":", "*", "p", "p*:", "p?:", "[a]:", "p:*", "a b:", "p:\n"])
def test_prefix_that_would_reach_further_than_a_tenant_is_refused(prefix):
    """An empty one or a pattern would remove everybody's keys."""
    with pytest.raises(RedisError, match="cannot be a prefix"):
        redis_tenant.work({"prefix": prefix}, False)


def test_keys_are_removed_in_batches():
    """A server does nothing else while it removes a batch."""
    assert list(redis_tenant.batches("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
