"""The settings of doors: what is refused before anything listens, and rules that mean nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.config import ConfigError, parse
from agent.places import system_places

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here
TLS = {"certificate": "/c.pem", "key": "/k.pem"}


def errors_of(**settings: object) -> str:
    """Return what is wrong with settings; JSON is YAML too."""
    try:
        parse(json.dumps(settings).encode(), Path("config.yaml"), system_places())
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "listen",
    [
        {"address": "127.0.0.1", "port": 4599},
        {"address": "127.8.9.10", "port": 0},
        {"address": "::1", "port": 65535},
        {"address": EVERYWHERE, "port": 8443, "tls": TLS},
        {"address": EVERYWHERE, "port": 80, "plain_http": "allow-non-loopback"},
        {
            "address": "::",
            "port": 8443,
            "tls": {**TLS, "client_ca": "/ca", "require_client_certificate": True},
        },
    ],
)
def test_a_port_that_is_safe_is_taken(listen: dict[str, Any]) -> None:
    """Loopback, TLS, or a word that plain HTTP is meant."""
    assert errors_of(listen=[listen]) == ""


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        (
            {"address": EVERYWHERE, "port": 80},
            "listen[0]: 0.0.0.0 is not a loopback address, so it needs tls",
        ),
        ({"address": "::", "port": 80}, "needs tls"),
        ({"address": "192.0.2.1", "port": 80}, "plain_http: allow-non-loopback"),
        ({"address": "::ffff:192.0.2.1", "port": 80}, "needs tls"),
        ({"address": EVERYWHERE, "port": 80, "plain_http": "yes"}, "plain_http"),
        ({"address": "localhost", "port": 80}, "listen[0].address must be an IP address"),
        ({"address": "127.0.0.1", "port": 65536}, "listen[0].port must be 1 to 65535"),
        ({"address": "127.0.0.1", "port": -1}, "listen[0].port must be 1 to 65535"),
        ({"address": "127.0.0.1"}, "missing required field `port`"),
        (
            {"address": "127.0.0.1", "port": 1, "tls": TLS, "plain_http": "allow-non-loopback"},
            "makes no sense beside tls",
        ),
        (
            {"address": "127.0.0.1", "port": 1, "tls": {"certificate": "/c.pem"}},
            "missing required field `key`",
        ),
        (
            {"address": "127.0.0.1", "port": 1, "tls": {**TLS, "key": "k.pem"}},
            "listen[0].tls.key must be an absolute path",
        ),
        (
            {"address": "127.0.0.1", "port": 1, "tls": {**TLS, "require_client_certificate": True}},
            "needs client_ca",
        ),
    ],
)
def test_a_port_that_is_not_is_refused(listen: dict[str, Any], words: str) -> None:
    """What is wrong with a port is said with its place in the file."""
    assert words in errors_of(listen=[listen])


@pytest.mark.parametrize(
    "rule",
    [
        {"match": {"uid": 990}, "arn": "arn:aws:iam::{account}:user/backup"},
        {"match": {"user": "svc-*"}, "arn": "arn:aws:iam::{account}:role/local/{user}-{uid}-{gid}"},
        {
            "match": {"group": "kms-*", "unit": "a.service"},
            "arn": "arn:aws:iam::{account}:role/{group}/{unit}",
        },
        {"match": {"uri": "spiffe://example.org/*/sa/*"}, "arn": "arn:aws:iam::{account}:role/{1}/{2}"},
        {"match": {"dns": "*.example.org"}, "arn": "arn:aws:iam::111122223333:user/{1}"},
        {"match": {"gid": 0}, "arn": "arn:aws:iam::{account}:root", "account": "111122223333"},
    ],
)
def test_a_rule_that_means_something_is_taken(rule: dict[str, Any]) -> None:
    """Local fields or certificate names, and an ARN of an account, a user or a role."""
    assert errors_of(principals=[rule]) == ""


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"match": {}, "arn": "arn:aws:iam::{account}:root"}, "principals[0].match is empty"),
        ({"match": {"uid": 0}}, "missing required field `arn`"),
        ({"match": {"uid": 0, "dns": "a"}, "arn": "arn:aws:iam::{account}:user/a"}, "make it two rules"),
        ({"match": {"uri": "a", "dns": "a"}, "arn": "arn:aws:iam::{account}:user/a"}, "make it two rules"),
        ({"match": {"login": "a"}, "arn": "arn:aws:iam::{account}:user/a"}, "unknown field `login`"),
        ({"match": {"uid": "0"}, "arn": "arn:aws:iam::{account}:user/a"}, "Expected `int"),
        ({"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:user/{unit}"}, "has {unit}; here it can have"),
        ({"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:user/{1}"}, "has {1}"),
        ({"match": {"uri": "a/*"}, "arn": "arn:aws:iam::{account}:user/{2}"}, "has {2}"),
        ({"match": {"uri": "a/*"}, "arn": "arn:aws:iam::{account}:user/{user}"}, "has {user}"),
        ({"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:group/a"}, "must be like arn:aws:iam::"),
        (
            {"match": {"uid": 0}, "arn": "arn:aws:sts::{account}:assumed-role/a/b"},
            "must be like arn:aws:iam::",
        ),
        ({"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:user/*"}, "must be like arn:aws:iam::"),
        ({"match": {"uid": 0}, "arn": "arn:aws:iam::12:user/a"}, "must be like arn:aws:iam::"),
        (
            {"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:user/a", "account": "1"},
            "principals[0].account must be 12 digits",
        ),
        (
            {"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:user/a", "tags": {"uid": "1"}},
            "'uid' cannot be a tag",
        ),
        (
            {"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:user/a", "tags": {"a": "x" * 257}},
            "'a' cannot be a tag",
        ),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: dict[str, Any], words: str) -> None:
    """What is wrong with a rule is said with its place in the file."""
    assert words in errors_of(principals=[rule])
