"""The volume description: readable by people, believed only with its MAC."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsfs import volume
from kmsfs.errors import CorruptVolumeError, VolumeError
from kmsfs.strictyaml import StrictYamlError, parse
from kmsfs.volume import BucketKeyEntry, CustomerCheck, Parameters, Policy, VolumeDescription, VolumeKeys

KEY_ARN = "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MAC_KEY = bytes(range(32))
DESCRIPTION = VolumeDescription(
    volume_id=b"volume number 01",
    volume_key_blob=b"blob of the volume key",
    policies=(Policy(0, KEY_ARN),),
    bucket_keys=(BucketKeyEntry(b"bucket key no. 1", 0, b"blob", "ab" * 32, "2026-01-31T23:59:59Z"),),
    agent_url="unix:///run/kms-agent/agent.sock",
)
RAW = volume.dump(DESCRIPTION, MAC_KEY)

ids = st.binary(min_size=16, max_size=16)
blobs = st.binary(min_size=1, max_size=300)
visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
moments = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0"))
shifts = st.integers(12, 20)
checks = st.builds(CustomerCheck, ids, st.binary(min_size=32, max_size=32))
policies_but_their_index = st.builds(
    Policy, st.just(0), visible, st.sampled_from(["bucket", "direct"]), shifts
) | st.builds(Policy, st.just(0), st.just(""), st.just("customer"), shifts, checks)
descriptions = st.builds(
    VolumeDescription,
    volume_id=ids,
    volume_key_blob=blobs,
    policies=st.lists(policies_but_their_index, max_size=3).map(
        lambda more: (Policy(0, KEY_ARN), *(replace(each, index=at) for at, each in enumerate(more, 1)))
    ),
    bucket_keys=st.lists(
        st.builds(
            BucketKeyEntry,
            ids,
            st.just(0),
            blobs,
            st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
            moments,
        ),
        max_size=3,
        unique_by=lambda entry: entry.id,
    ).map(tuple),
    parameters=st.builds(Parameters, st.sampled_from(["siv", "plain"])),
    agent_url=st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60),
    in_use_since=st.none() | moments,
    volume_key_material_id=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
)


@given(descriptions, st.binary(min_size=32, max_size=32))
def test_descriptions_round_trip(description: VolumeDescription, mac_key: bytes) -> None:
    """What is dumped is loaded, verifies, and dumps to the same bytes."""
    raw = volume.dump(description, mac_key)
    assert volume.verify(volume.load(raw), mac_key) == description
    assert volume.dump(description, mac_key) == raw


def test_every_bit_of_the_description_counts() -> None:
    """Flipping one bit in any byte gives no description, or one that does not verify."""
    for bit in (8 * position + position % 8 for position in range(len(RAW))):
        changed = bytearray(RAW)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VolumeError):
            volume.verify(volume.load(bytes(changed)), MAC_KEY)


def test_being_in_use_is_under_the_mac() -> None:
    """A volume that a mount did not leave cleanly cannot be made to look clean, nor the other way round."""
    in_use = volume.dump(replace(DESCRIPTION, in_use_since="2026-01-31T23:59:59Z"), MAC_KEY)
    assert volume.verify(volume.load(in_use), MAC_KEY).in_use_since == "2026-01-31T23:59:59Z"
    with pytest.raises(CorruptVolumeError, match="without the volume key"):
        volume.verify(volume.load(in_use.replace(b"'2026-01-31T23:59:59Z'\nfeat", b"null\nfeat")), MAC_KEY)


def test_another_key_does_not_verify() -> None:
    """A MAC under another volume key is refused."""
    with pytest.raises(CorruptVolumeError, match="without the volume key"):
        volume.verify(volume.load(RAW), bytes(32))


EDITS = {
    "chunk size": (b"chunk_shift: 12", b"chunk_shift: 20"),
    "names": (b"names: siv", b"names: plain"),
    "policy key": (b"1234abcd", b"4321abcd"),
    "bucket key": (b"policy: 0", b"policy: 0 "),
    "in use": (b"in_use_since: null", b"in_use_since: '2026-01-31T23:59:59Z'"),
    "comment": (b"# Description", b"#  Description"),
    "line ends": (b"\n", b"\r\n"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edits_are_refused(edit: str) -> None:
    """Whoever edits the description without the key is found out, comments and white space included."""
    before, after = EDITS[edit]
    assert before in RAW
    with pytest.raises(CorruptVolumeError):
        volume.verify(volume.load(RAW.replace(before, after)), MAC_KEY)


def forged(body: str) -> bytes:
    """Return a description of any content, as an adversary may write one."""
    return body.encode() + b"mac: " + b"0" * 64 + b"\n"


BODY = RAW[:-70].decode()
CHECK = f"customer: {{salt: '{'00' * 16}', mac: '{'11' * 32}'}}"
CHECKED = f"  chunk_shift: 12\n  {CHECK}\n"


def with_policy(mode: str, *fields: str) -> str:
    """Return the description with one more policy."""
    lines = ["- index: 1", f"mode: {mode}", "chunk_shift: 12", *fields]
    return BODY.replace("volume_key_blob", "\n  ".join(lines) + "\nvolume_key_blob")


def test_policies_of_every_mode_are_read() -> None:
    """What the cases below change is well-formed without the change."""
    assert volume.load(forged(with_policy("customer", CHECK))).description.policies[1] == Policy(
        1, "", "customer", 12, CustomerCheck(bytes(16), b"\x11" * 32)
    )
    assert volume.load(forged(with_policy("direct", "key_arn: a"))).description.policies[1].mode == "direct"


REFUSED = {
    "nothing": "",
    "no mapping": "- 1\n",
    "unknown field": BODY + "more: 1\n",
    "missing field": BODY.replace("features: []\n", ""),
    "duplicate field": BODY + "format: 1\n",
    "number with zeros": BODY.replace("chunk_shift: 12", "chunk_shift: 012"),
    "chunks too small": BODY.replace("chunk_shift: 12", "chunk_shift: 11"),
    "chunks too large": BODY.replace("chunk_shift: 12", "chunk_shift: 21"),
    "unknown names": BODY.replace("names: siv", "names: rot13"),
    "unknown mode": BODY.replace("mode: bucket", "mode: none"),
    "bucket keys in another mode": BODY.replace("mode: bucket", "mode: direct"),
    "no key": re.sub("  key_arn: .*\n", "", BODY),
    "a customer's key": BODY.replace("mode: bucket", "mode: customer"),
    "a check in another mode": BODY.replace("  chunk_shift: 12\n", CHECKED),
    "a customer's key and another": with_policy("customer", f"key_arn: {KEY_ARN}", CHECK),
    "a customer's key without check": with_policy("customer"),
    "a check of half the size": with_policy("customer", CHECK[:-33] + "}"),
    "unknown policy": BODY.replace("policy: 0", "policy: 1"),
    "policies out of order": BODY.replace("index: 0", "index: 1"),
    "no policies": BODY[: BODY.index("policies")] + "policies: []\n" + BODY[BODY.index("volume_key_blob") :],
    "in use since nothing": BODY.replace("in_use_since: null", "in_use_since: ''"),
    "in use since no moment": BODY.replace("in_use_since: null", "in_use_since: 2026-02-30T23:59:59Z"),
    "in use since yes": BODY.replace("in_use_since: null", "in_use_since: true"),
    "no word on being in use": BODY.replace("in_use_since: null\n", ""),
    "upper case id": BODY.replace("766f6c756d65", "766F6C756D65"),
    "bucket key twice": BODY + BODY[BODY.index("- id") :],
    "malleable base64": BODY.replace("YmxvYg==", "YmxvYh=="),
    "empty blob": BODY.replace("YmxvYg==", "''"),
    "blob too large": BODY.replace("YmxvYg==", "AAAA" * 2049),
    "a list for a text": BODY.replace("names: siv", "names: [siv]"),
    "a text for a list": BODY.replace("features: []", "features: none"),
    "a text for a mapping": BODY.replace("- index: 0\n  mode: bucket\n  key_arn: ", "- "),
    "not UTF-8": BODY.replace("siv", "\udcff"),
    "alias": BODY.replace("names: siv", "names: &x siv").replace("bindings: true", "bindings: *x"),
    "tag": BODY.replace("names: siv", "names: !!python/name:os.system siv"),
    "two documents": BODY + "---\n" + BODY,
    "deep nesting": BODY.replace("features: []", "features: " + "[" * 5000 + "]" * 5000),
}


@pytest.mark.parametrize("case", REFUSED)
def test_malformed_descriptions_are_refused(case: str) -> None:
    """What is not of the one form of a description is refused before the agent is asked for anything."""
    assert REFUSED[case] != BODY
    raw = REFUSED[case].encode("utf-8", "surrogateescape") + b"mac: " + b"0" * 64 + b"\n"
    with pytest.raises(CorruptVolumeError):
        volume.load(raw)


BOMB = "a: &a [" + ",".join("x" * 9) + "]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)  # fmt: skip


@pytest.mark.parametrize("text", [BOMB, "[" * 100_000, "{" * 100_000, "- " * 100_000, "? " * 100_000])
def test_yaml_bombs_are_refused(text: str) -> None:
    """Aliases that multiply and nesting that exhausts the stack are refused at their first level."""
    with pytest.raises(StrictYamlError):
        parse(text)


@pytest.mark.parametrize("text", ["a: b\n<<: {c: d}\n", "1: 2\n", "a: 2026-01-31\nb: yes\nc: 0x10\nd: ~\n"])
def test_yaml_scalars_are_texts(text: str) -> None:
    """Nothing becomes a number, a date, a truth or a merge because it looks like one."""
    tree = parse(text)
    assert isinstance(tree, dict)
    assert all(isinstance(value, str | dict) for value in tree.values())
    assert all(isinstance(key, str) for key in tree)


def test_oversize_is_refused_both_ways() -> None:
    """What is larger than 256 KiB is not read, and not written either."""
    with pytest.raises(CorruptVolumeError, match="larger"):
        volume.load(b"#" * (1 << 18) + RAW)
    entries = tuple(
        BucketKeyEntry(index.to_bytes(16), 0, bytes(6144), None, "2026-01-31T23:59:59Z")
        for index in range(40)
    )
    with pytest.raises(VolumeError, match="outgrown"):
        volume.dump(replace(DESCRIPTION, bucket_keys=entries), MAC_KEY)


NEWER = {
    "format": BODY.replace("format: 1", "format: 2") + "something_new: 1\n",
    "feature": BODY.replace("features: []", "features: [frobnication]") + "frobnication: 1\n",
}


@pytest.mark.parametrize("case", NEWER)
def test_newer_volumes_are_told_apart_from_damaged_ones(case: str) -> None:
    """A format or feature of a newer version is refused with the advice to use one."""
    with pytest.raises(VolumeError, match="newer kmsfs") as caught:
        volume.load(forged(NEWER[case]))
    assert not isinstance(caught.value, CorruptVolumeError)


def test_people_can_read_it() -> None:
    """The description is plain text that names the KMS key."""
    assert KEY_ARN in RAW.decode("ascii")
    assert RAW.decode().count("\n") == 23


def test_subkeys_are_separate() -> None:
    """Every purpose, volume key and volume id has keys of its own, and none shows in the representation."""
    keys = [
        VolumeKeys.derive(key, volume_id)
        for key in (bytes(32), MAC_KEY)
        for volume_id in (bytes(16), b"i" * 16)
    ]
    pieces = [
        piece
        for one in keys
        for secret in (one.names, one.records, one.xattr, one.mac, one.bindings)
        for piece in (secret[:32], secret[32:])
        if piece
    ]
    assert len(set(pieces)) == len(pieces) == 4 * 7
    assert repr(keys[0]) == "VolumeKeys()"
