"""Files of passwords and tokens: what they may say, and that nothing of it is shown."""

import hashlib

import pytest

from apb_broker.catalog import credentials
from apb_broker.catalog.errors import ConfigError

TOKEN = "0123456789abcdefghij"
SALT, DIGEST = "c29tZXNhbHRzb21lc2E", "A" * 43
USUAL = "m=19456,t=2,p=1"


@pytest.fixture
def user(raw, load, tmp_path):
    """The first user of apb.yml, with this in the file."""

    def make(text, key="password_file"):
        raw["users"][0] = {"name": "ann", key: "a.secret", "roles": ["platform"]}
        (tmp_path / "a.secret").touch(0o600)
        (tmp_path / "a.secret").write_text(text)
        return load(raw).users[0]

    return make


def test_hash_is_of_its_password():
    """Made and checked with argon2id, 19 MiB; another one each time."""
    made = credentials.hash_password("pass:word ü")
    assert made.startswith(f"$argon2id$v=19${USUAL}$")
    assert credentials.is_password_of(made, "pass:word ü")
    assert not credentials.is_password_of(made, "pass:word u")
    assert credentials.hash_password("pass:word ü") != made


def test_nobodys_hash_costs_what_others_do():
    """It has the form and the cost of a real one, and no password."""
    nobodys = credentials.unmatchable_hash()
    assert credentials.password(nobodys) == credentials.PasswordHash(nobodys)
    assert credentials.PasswordHash(nobodys).is_usual
    assert len(nobodys) == len(credentials.hash_password("x"))
    assert not credentials.is_password_of(nobodys, "")


def test_file_holds_a_password_or_its_hash(user):
    """A password may begin with a dollar sign, unless it goes on as hashes do."""
    hashed = f"$argon2id$v=19$m=65536,t=3,p=4${SALT}${DIGEST}"
    assert user("hush-hush\n").credential() == credentials.Password("hush-hush")
    assert user("$ecret").credential() == credentials.Password("$ecret")
    assert user(hashed + "\n").credential() == credentials.PasswordHash(hashed)
    assert not user(hashed).credential().is_usual


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$2b$12$abcdefghijklmnopqrstuv", "looks like a 2b hash: expected the password itself, or a hash made by `apb hash-password`"),
        (f"$argon2i$v=19${USUAL}${SALT}${DIGEST}", "looks like a argon2i hash"),
        ("$6$salt$digest", "looks like a 6 hash"),
        ("$argon2id$", "is not a whole argon2id hash, version 19"),
        (f"$argon2id$v=16${USUAL}${SALT}${DIGEST}", "is not a whole argon2id hash, version 19"),
        (f"$argon2id$v=19${USUAL}${SALT}${DIGEST[:-1]}B", "is not a whole argon2id hash"),  # bits are left over
        (f"$argon2id$v=19${USUAL}${SALT}${DIGEST[:-2]}", "is not a whole argon2id hash"),
        (f"$argon2id$v=19${USUAL}${SALT}${DIGEST} ", "is not a whole argon2id hash"),
        (f"$argon2id$v=19$m=1024,t=3,p=4${SALT}${DIGEST}", "is an argon2id hash with m=1024: expected 7168 to 262144"),
        (f"$argon2id$v=19$m=4194304,t=3,p=4${SALT}${DIGEST}", "is an argon2id hash with m=4194304: expected 7168 to 262144"),
        (f"$argon2id$v=19$m=65536,t=99,p=4${SALT}${DIGEST}", "is an argon2id hash with t=99: expected 1 to 16"),
        (f"$argon2id$v=19$m=65536,t=3,p=99${SALT}${DIGEST}", "is an argon2id hash with p=99: expected 1 to 16"),
    ],
)
def test_other_hashes_are_refused(user, text, said):
    """Taken for passwords they would let in whoever reads them; weak or costly ones are none either. The text is not repeated."""
    with pytest.raises(ConfigError, match=r"a\.secret: the password of user 'ann' ") as caught:
        user(text).credential()
    assert said in str(caught.value)
    assert text not in str(caught.value) and text not in repr(caught.value.__cause__)


def test_file_holds_a_token_or_its_digest(user):
    """Either way it is known by its SHA-256."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    assert user(TOKEN + "\n", "token_file").credential() == credentials.Token(digest)
    assert user(f"sha256:{digest.upper()}\n", "token_file").credential() == credentials.Token(digest)


@pytest.mark.parametrize(
    "text", ["short", "with space" * 3, "ünicode" * 5, "sha256:" + "0" * 63, "sha256:" + "g" * 64, "=" * 30, "a:" * 20]
)
def test_other_tokens_are_refused(user, text):
    """Guessable ones, and what no Authorization header can carry."""
    with pytest.raises(ConfigError, match=r"the token of user 'ann' is no bearer token: expected 20 or more") as caught:
        user(text, "token_file").credential()
    assert text not in str(caught.value)


def test_token_file_open_to_others_is_refused(user, tmp_path):
    """As password files are."""
    found = user(TOKEN, "token_file")
    (tmp_path / "a.secret").chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640 lets others read a token: chmod 600"):
        found.credential()


@pytest.mark.parametrize("keys", [[], ["password_file", "token_file"]])
def test_user_has_one_way_to_log_in(raw, load, keys):
    """Not none, not both."""
    raw["users"] = [{"name": "ann", "roles": ["platform"], **dict.fromkeys(keys, "x")}]
    with pytest.raises(ConfigError, match=r"users\.0: an object with .*: expected either a password_file or a token_file"):
        load(raw)


def test_secrets_are_not_shown():
    """In no log or traceback of ours."""
    shown = repr([credentials.Password("hush"), credentials.PasswordHash("hush"), credentials.Token("hush")])
    assert "hush" not in shown
