"""What users may call, by role, method, path and slice."""

import pytest

from apb_broker.web.access import Rights

LACKS_PLATFORM = "user 'x' lacks the role 'platform'"
LACKS_READING = "user 'x' lacks the role 'operator' or 'viewer'"
LACKS_OPERATOR = "user 'x' lacks the role 'operator'"


def rights(*roles, slices=()):
    return Rights("x", frozenset(roles), frozenset(slices))


@pytest.mark.parametrize(
    ("roles", "method", "path", "refusal"),
    [
        (["platform"], "PUT", "/v2/service_instances/i", None),
        (["platform"], "GET", "/v2", None),
        (["platform"], "GET", "/admin/v1/instances", LACKS_READING),
        (["platform"], "POST", "/admin/v1/operations/o/retry", LACKS_OPERATOR),
        (["platform"], "GET", "/metrics", LACKS_READING),
        (["operator"], "GET", "/v2/catalog", LACKS_PLATFORM),
        (["operator"], "POST", "/admin/v1/operations/o/retry", None),
        (["operator"], "GET", "/metrics", None),
        (["viewer"], "GET", "/admin/v1/instances", None),
        (["viewer"], "HEAD", "/admin/v1/instances", None),
        (["viewer"], "POST", "/admin/v1/operations/o/retry", LACKS_OPERATOR),
        (["viewer"], "DELETE", "/admin", LACKS_OPERATOR),
        (["viewer"], "OPTIONS", "/admin/v1/instances", LACKS_OPERATOR),
        (["viewer"], "GET", "/metrics", None),
        (["viewer"], "GET", "/v2/catalog", LACKS_PLATFORM),
        (["viewer"], "GET", "/openapi.json", None),
        (["platform"], "GET", "/openapi.json", None),
        (["viewer", "platform"], "GET", "/v2/catalog", None),
        (["viewer"], "GET", "/v2x", None),  # not ours: the router's 404
    ],
)
def test_role_decides(roles, method, path, refusal):
    """The role that is lacking is named."""
    assert rights(*roles).refusal(method, path, None) == refusal


@pytest.mark.parametrize(
    ("slices", "asked", "refusal"),
    [
        ([], None, None),
        ([], "caches", "user 'x' is not one of the users of broker 'caches'"),
        (["caches"], "caches", None),
        (["caches"], None, "user 'x' calls /brokers/caches/v2, not the whole catalog"),
        (["caches", "more"], None, "user 'x' calls /brokers/caches/v2 or /brokers/more/v2, not the whole catalog"),
        (["more"], "caches", "user 'x' is not one of the users of broker 'caches'"),
    ],
)
def test_slice_decides_below_v2(slices, asked, refusal):
    """Who is named in slices calls those; who is not calls the whole."""
    assert rights("platform", slices=slices).refusal("GET", "/v2/catalog", asked) == refusal


def test_slice_does_not_concern_operators():
    """A user of both roles operates everything."""
    assert rights("platform", "operator", slices=["caches"]).refusal("GET", "/admin/v1/instances", None) is None
