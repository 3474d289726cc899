"""The agent's configuration file, and the places used without one."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import MAX_CONFIG_BYTES, Config, ConfigError, Limits, load, parse
from agent.places import standard_places, system_places
from agent.settings.listen import Listen, Tls
from agent.settings.principals import Match, PrincipalRule
from agent.settings.quotas import Quotas, RequestRate

SOURCE = Path("/etc/kms-agent/config.yaml")
ME = os.geteuid()


def parsed(text: str) -> Config:
    """Parse a text with the system-wide defaults."""
    return parse(text.encode(), SOURCE, system_places())


def test_an_empty_file_means_the_defaults() -> None:
    """Without settings, everything comes from the layout."""
    assert parsed("") == Config(
        state_directory=Path("/var/lib/kms-agent"),
        socket_path=Path("/run/kms-agent/agent.sock"),
        socket_mode=0o666,
        audit_path=Path("/var/lib/kms-agent/log/audit.jsonl"),
        region="local",
        regions=(),
        account_id="000000000000",
        key_file=None,
        attestation_root=None,
        guard=None,
        passphrase_file=None,
        listen=(),
        principals=(),
        limits=Limits(),
        quotas=Quotas(),
    )


def test_every_setting_is_read() -> None:
    """A file with all settings gives a value with all of them."""
    config = parsed(
        """
        state_directory: /srv/kms
        socket: /srv/run/kms.sock
        socket_mode: "0660"
        audit_log: /srv/log/audit.jsonl
        region: eu-central-1
        regions: [eu-west-1, us-east-1]
        account_id: "123456789012"
        key_file: /mnt/stick/root.key
        attestation_root: /etc/root.pem
        guard: /etc/guard.json
        passphrase_file: /run/credentials/passphrase
        listen:
          - {address: 127.0.0.1, port: 4599}
          - address: '::'
            port: 8443
            tls: {certificate: /c.pem, key: /k.pem, client_ca: /ca.pem, require_client_certificate: true}
        principals:
          - match: {unit: "backup@*.service", uid: 0}
            arn: arn:aws:iam::{account}:role/unit/{unit}
            account: "111122223333"
            tags: {team: storage}
            via_service: kmsfs
        limits:
          connections: 10
          header_bytes: 4096
          body_bytes: 65536
          idle_seconds: 30
          request_seconds: 2.5
          stop_seconds: 1
        quotas:
          per: principal
          requests:
            CreateKey: {per_second: 5}
            cryptographic_symmetric: {per_second: 5500, burst: 11000}
          keys: 10
          aliases_per_key: 2
          grants_per_key: 3
        """
    )
    assert config == Config(
        state_directory=Path("/srv/kms"),
        socket_path=Path("/srv/run/kms.sock"),
        socket_mode=0o660,
        audit_path=Path("/srv/log/audit.jsonl"),
        region="eu-central-1",
        regions=("eu-west-1", "us-east-1"),
        account_id="123456789012",
        key_file=Path("/mnt/stick/root.key"),
        attestation_root=Path("/etc/root.pem"),
        guard=Path("/etc/guard.json"),
        passphrase_file=Path("/run/credentials/passphrase"),
        listen=(
            Listen(address="127.0.0.1", port=4599),
            Listen(
                address="::",
                port=8443,
                tls=Tls(
                    certificate="/c.pem", key="/k.pem", client_ca="/ca.pem", require_client_certificate=True
                ),
            ),
        ),
        principals=(
            PrincipalRule(
                match=Match(uid=0, unit="backup@*.service"),
                arn="arn:aws:iam::{account}:role/unit/{unit}",
                account="111122223333",
                tags={"team": "storage"},
                via_service="kmsfs",
            ),
        ),
        limits=Limits(
            connections=10,
            header_bytes=4096,
            body_bytes=65536,
            idle_seconds=30,
            request_seconds=2.5,
            stop_seconds=1,
        ),
        quotas=Quotas(
            per="principal",
            requests={
                "CreateKey": RequestRate(per_second=5),
                "cryptographic_symmetric": RequestRate(per_second=5500, burst=11000),
            },
            keys=10,
            aliases_per_key=2,
            grants_per_key=3,
        ),
    )


def test_the_audit_log_follows_the_state_directory() -> None:
    """Where only the state directory is set, the log lies in it."""
    assert parsed("state_directory: /srv/kms").audit_path == Path("/srv/kms/log/audit.jsonl")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("statedirectory: /x", "unknown field `statedirectory`"),
        ("limits: {connection: 3}", "unknown field `connection` - at `$.limits`"),
        ("- a list", "Expected `object`"),
        ("state_directory: relative", "state_directory must be an absolute path"),
        ("socket: run/agent.sock", "socket must be an absolute path"),
        ("socket: /" + "x" * 107, "longer than the 107 bytes"),
        ("account_id: 000000000000", "at `$.account_id`; put the value in quotes"),
        ("account_id: '1234'", "account_id must be 12 digits"),
        ("region: Frankfurt", "region must be lower-case"),
        ("socket_mode: 0660", "at `$.socket_mode`; put the value in quotes"),
        ("socket_mode: '0999'", "socket_mode must be three octal digits"),
        (
            "quotas: {requests: {Decrypts: {per_second: 1}}}",
            "quotas.requests.Decrypts: there is no such group",
        ),
        ("quotas: {requests: {Encrypt: {per_second: 1}}}", "cryptographic_symmetric"),
        ("quotas: {requests: {CreateKey: {per_second: 0}}}", "per_second must be a positive number"),
        ("quotas: {requests: {CreateKey: {per_second: 1, burst: 0.5}}}", "burst must be at least 1"),
        ("quotas: {keys: 0}", "quotas.keys must be at least 1"),
        ("quotas: {per: user}", "Invalid enum value 'user'"),
        ("limits: {connections: 0}", "limits.connections must be a positive number"),
        ("limits: {idle_seconds: .nan}", "limits.idle_seconds must be a positive number"),
        ("limits: {idle_seconds: .inf}", "limits.idle_seconds must be a positive number"),
        ("a: [", "is not YAML"),
        ("!!python/object:os.system {}", "is not YAML"),
        ("\x01", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    """An error names the file and the setting, and says what is expected."""
    with pytest.raises(ConfigError) as error:
        parsed(text)
    assert str(error.value).startswith("/etc/kms-agent/config.yaml: ")
    assert words in str(error.value)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_the_documented_error(text: bytes) -> None:
    """Whatever is in the file, the answer is a configuration or a ConfigError."""
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(text, SOURCE, system_places()), Config)


def test_a_named_file_must_exist_and_the_standard_one_need_not(tmp_path: Path) -> None:
    """Naming a file that is not there is an error; having no standard file is not."""
    places = standard_places({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}, ME)
    assert load(None, places).state_directory == tmp_path / "state" / "kms-agent"
    with pytest.raises(ConfigError, match="there is no such configuration file"):
        load(tmp_path / "absent.yaml", places)


def test_the_standard_file_is_read_where_there_is_one(tmp_path: Path) -> None:
    """The file in the user's configuration directory is used without being named."""
    places = standard_places({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}, ME)
    places.config_path.parent.mkdir(parents=True)
    places.config_path.write_text("region: from-file")
    assert load(None, places).region == "from-file"


@pytest.mark.parametrize("content", [b"#" * (MAX_CONFIG_BYTES + 1), None])
def test_a_file_that_cannot_be_one_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """An enormous file, or a directory, is refused with a reason."""
    path = tmp_path / "config.yaml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"larger than|cannot be read"):
        load(path, system_places())


@pytest.mark.parametrize(
    ("environ", "uid", "state", "config"),
    [
        ({"HOME": "/var/root"}, 0, "/var/lib/kms-agent", "/etc/kms-agent/config.yaml"),
        (
            {"HOME": "/var/root", "XDG_RUNTIME_DIR": "/run/user/0"},
            0,
            "/var/lib/kms-agent",
            "/etc/kms-agent/config.yaml",
        ),
        (
            {"HOME": "/var/root", "XDG_STATE_HOME": "/s"},
            0,
            "/s/kms-agent",
            "/var/root/.config/kms-agent/config.yaml",
        ),
        (
            {"HOME": "/users/ann"},
            1000,
            "/users/ann/.local/state/kms-agent",
            "/users/ann/.config/kms-agent/config.yaml",
        ),
        (
            {"HOME": "/users/ann", "XDG_STATE_HOME": "relative", "XDG_CONFIG_HOME": "/c"},
            1000,
            "/users/ann/.local/state/kms-agent",
            "/c/kms-agent/config.yaml",
        ),
    ],
)
def test_each_user_has_places(environ: Mapping[str, str], uid: int, state: str, config: str) -> None:
    """Root has the machine's places unless told otherwise, others have the XDG ones."""
    places = standard_places(environ, uid)
    assert (str(places.state_directory), str(places.config_path)) == (state, config)


def test_the_socket_lies_in_the_users_own_runtime_directory(tmp_path: Path) -> None:
    """The runtime directory is used if it is the user's own, else the socket lies with the state."""
    environ = {"HOME": "/users/ann", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert standard_places(environ, ME).socket_path == tmp_path / "kms-agent" / "agent.sock"
    nobody_knows = 4_000_000_000
    assert standard_places(environ, nobody_knows).socket_path == Path("/s/kms-agent/run/agent.sock")
