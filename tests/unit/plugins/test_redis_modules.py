"""What the Redis modules work out without a server."""

import hashlib

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import redis_acl_user, redis_config
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError


def params(**given):
    return {"name": "b1", "password": None, "password_hashes": None, "rules": ["~*", "+@read"], **given}


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
    assert "abc" not in str(redis_acl_user._shown(answer))
