"""Every operation of the API through boto3, unchanged, over TLS, each asked at least once."""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

import ports
from certificates import Authority
from ports import error_of

PRIMARY, REPLICA = "eu-central-1", "us-east-1"
ALICE = "arn:aws:iam::000000000000:user/alice"


class Walker:
    """Clients of two Regions that note which operations they were asked for."""

    def __init__(self, url: str, credentials: dict[str, str], authority: Path) -> None:
        self.asked: set[str] = set()
        self.kms = self._client(url, credentials, authority, PRIMARY)
        self.other = self._client(url, credentials, authority, REPLICA)
        self.operations = set(self.kms.meta.service_model.operation_names)

    def _client(self, url: str, credentials: dict[str, str], authority: Path, region: str) -> Any:  # noqa: ANN401 - boto3 has no types
        client = ports.kms(url, credentials, region=region, verify=str(authority))
        client.meta.events.register("before-call.kms", self._note)
        return client

    def _note(self, model: Any, **_event: object) -> None:  # noqa: ANN401 - boto3 has no types
        self.asked.add(model.name)

    def key(self, **members: object) -> str:
        """Make a key and return its ARN."""
        arn: str = self.kms.create_key(**members)["KeyMetadata"]["Arn"]
        return arn


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walker]:
    """Clients of an agent behind TLS."""
    authority = Authority(tmp_path_factory.mktemp("servers"), "servers")
    identity = authority.issue_server()
    tls = {"certificate": str(identity.certificate), "key": str(identity.key)}
    with ports.running({"tls": tls}, region=PRIMARY, regions=[REPLICA]) as agent:
        (url,) = ports.doors(agent)[1:]
        yield Walker(url, ports.make_key(agent, "root"), authority.bundle)


def test_keys_and_their_names(walker: Walker) -> None:
    """Creating, describing, listing, disabling, tagging, naming, deleting and keeping a key."""
    kms = walker.kms
    key = walker.key(Description="first", Tags=[{"TagKey": "team", "TagValue": "mail"}])
    kms.update_key_description(KeyId=key, Description="second")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Description"] == "second"
    assert key in {entry["KeyArn"] for entry in kms.list_keys()["Keys"]}
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "stage", "TagValue": "test"}])
    kms.untag_resource(KeyId=key, TagKeys=["team"])
    assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "stage", "TagValue": "test"}]
    kms.create_alias(AliasName="alias/walk", TargetKeyId=key)
    kms.update_alias(AliasName="alias/walk", TargetKeyId=walker.key())
    assert "alias/walk" in {entry["AliasName"] for entry in kms.list_aliases()["Aliases"]}
    kms.delete_alias(AliasName="alias/walk")
    kms.disable_key(KeyId=key)
    assert error_of(kms, "encrypt", KeyId=key, Plaintext=b"x") == ("DisabledException", f"{key} is disabled.")
    kms.enable_key(KeyId=key)
    assert "Operation" not in kms.get_key_last_usage(KeyId=key).get("KeyLastUsage", {})
    kms.encrypt(KeyId=key, Plaintext=b"x")
    assert kms.get_key_last_usage(KeyId=key)["KeyLastUsage"]["Operation"] == "Encrypt"
    answer = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert answer["DeletionDate"] - dt.datetime.now(dt.UTC) > dt.timedelta(days=6)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


def test_symmetric_keys(walker: Walker) -> None:
    """Data keys, encryption with a context, another key, random bytes."""
    kms, context = walker.kms, {"tenant": "fünf"}
    key = walker.key()
    blob = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == b"secret"
    wrong = error_of(kms, "decrypt", CiphertextBlob=blob, EncryptionContext={"tenant": "funf"})
    assert wrong[0] == "InvalidCiphertextException"
    moved = kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId=walker.key()
    )["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=moved)["Plaintext"] == b"secret"
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]
    sealed = kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=17)["CiphertextBlob"]
    assert len(kms.decrypt(CiphertextBlob=sealed)["Plaintext"]) == 17
    assert len(kms.generate_random(NumberOfBytes=33)["Plaintext"]) == 33
    code, _ = error_of(kms, "encrypt", KeyId=key, Plaintext=b"x", DryRun=True)
    assert code == "DryRunOperationException"


def test_policies_and_grants(walker: Walker) -> None:
    """Key policies are read and replaced; grants made, listed, retired and revoked."""
    kms = walker.kms
    key = walker.key()
    policy = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]
    policy["Statement"].append(
        {"Effect": "Allow", "Principal": {"AWS": ALICE}, "Action": "kms:Encrypt", "Resource": "*"}
    )
    kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == policy
    members = {"KeyId": key, "GranteePrincipal": ALICE, "RetiringPrincipal": ALICE, "Operations": ["Decrypt"]}
    first, second = kms.create_grant(**members), kms.create_grant(**members)
    assert {grant["GrantId"] for grant in kms.list_grants(KeyId=key)["Grants"]} == {
        first["GrantId"],
        second["GrantId"],
    }
    assert len(kms.list_retirable_grants(RetiringPrincipal=ALICE)["Grants"]) == 2
    kms.retire_grant(GrantToken=first["GrantToken"])
    kms.revoke_grant(KeyId=key, GrantId=second["GrantId"])
    assert kms.list_grants(KeyId=key)["Grants"] == []


def test_rotation(walker: Walker) -> None:
    """Automatic rotation is turned on and off; one on demand makes new material, and the old decrypts."""
    kms = walker.kms
    key = walker.key()
    blob = kms.encrypt(KeyId=key, Plaintext=b"before")["CiphertextBlob"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 180
    kms.disable_key_rotation(KeyId=key)
    kms.rotate_key_on_demand(KeyId=key)
    while not (rotations := kms.list_key_rotations(KeyId=key)["Rotations"]):
        kms.get_key_rotation_status(KeyId=key)
    assert [entry["RotationType"] for entry in rotations] == ["ON_DEMAND"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"before"


def test_imported_material(walker: Walker) -> None:
    """Material of one's own is wrapped, imported, used, deleted and imported again."""
    kms = walker.kms
    key = walker.key(Origin="EXTERNAL")
    material = os.urandom(32)

    def bring() -> None:
        given = kms.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
        )
        wrapping_key = load_der_public_key(given["PublicKey"])
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        kms.import_key_material(
            KeyId=key,
            ImportToken=given["ImportToken"],
            EncryptedKeyMaterial=wrapping_key.encrypt(material, oaep),  # type: ignore[union-attr] # an RSA key
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        )

    bring()
    blob = kms.encrypt(KeyId=key, Plaintext=b"mine")["CiphertextBlob"]
    kms.delete_imported_key_material(KeyId=key)
    assert error_of(kms, "decrypt", CiphertextBlob=blob)[0] == "KMSInvalidStateException"
    bring()
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"mine"


def test_multi_region_keys(walker: Walker) -> None:
    """A key is replicated into another Region, decrypts there, and the replica becomes the primary."""
    kms, other = walker.kms, walker.other
    key = walker.key(MultiRegion=True)
    blob = kms.encrypt(KeyId=key, Plaintext=b"far")["CiphertextBlob"]
    replica = kms.replicate_key(KeyId=key, ReplicaRegion=REPLICA)["ReplicaKeyMetadata"]["Arn"]
    wait_until_settled(other, replica)
    assert other.decrypt(CiphertextBlob=blob)["Plaintext"] == b"far"
    kms.update_primary_region(KeyId=key, PrimaryRegion=REPLICA)
    wait_until_settled(other, replica)
    metadata = other.describe_key(KeyId=replica)["KeyMetadata"]
    assert metadata["MultiRegionConfiguration"]["MultiRegionKeyType"] == "PRIMARY"


def wait_until_settled(client: Any, key: str) -> None:  # noqa: ANN401 - boto3 has no types
    """Wait until a key is neither being created nor updated."""
    while client.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] in {"Creating", "Updating"}:
        pass


def test_signatures_and_macs(walker: Walker) -> None:
    """A signature verifies here and outside, with the public key; so does a MAC, here."""
    kms = walker.kms
    key = walker.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    digest = hashlib.sha256(b"message").digest()
    members = {"KeyId": key, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(**members)["Signature"]
    assert kms.verify(Signature=signature, **members)["SignatureValid"]
    public_key = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signature, b"message", ec.ECDSA(hashes.SHA256()))
    forged = {**members, "Message": hashlib.sha256(b"another").digest(), "Signature": signature}
    assert error_of(kms, "verify", **forged)[0] == "KMSInvalidSignatureException"
    mac_key = walker.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    of = {"KeyId": mac_key, "Message": b"message", "MacAlgorithm": "HMAC_SHA_256"}
    assert kms.verify_mac(Mac=kms.generate_mac(**of)["Mac"], **of)["MacValid"]


def test_shared_secrets(walker: Walker) -> None:
    """Two parties agree on a secret, and one encapsulates a secret for another."""
    kms = walker.kms
    key = walker.key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")
    mine = ec.generate_private_key(ec.SECP256R1())
    theirs = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(theirs, ec.EllipticCurvePublicKey)
    derived = kms.derive_shared_secret(
        KeyId=key,
        KeyAgreementAlgorithm="ECDH",
        PublicKey=mine.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )
    assert derived["SharedSecret"] == mine.exchange(ec.ECDH(), theirs)
    kem = walker.key(KeySpec="ML_KEM_768", KeyUsage="ENCAPSULATE_DECAPSULATE")
    sent = kms.encapsulate(KeyId=kem, EncapsulationAlgorithm="ML_KEM")
    received = kms.decapsulate(
        KeyId=kem,
        EncapsulationAlgorithm="ML_KEM",
        SharedSecretCiphertextBlob=sent["SharedSecretCiphertextBlob"],
    )
    assert received["SharedSecret"] == sent["SharedSecret"]


def test_data_key_pairs(walker: Walker) -> None:
    """A pair comes in plain and encrypted, or encrypted only; both decrypt to the key of the public half."""
    kms = walker.kms
    key = walker.key()
    pair = kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P384")
    assert (
        kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]
        == pair["PrivateKeyPlaintext"]
    )
    sealed = kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P384")
    private_key = load_der_private_key(
        kms.decrypt(CiphertextBlob=sealed["PrivateKeyCiphertextBlob"])["Plaintext"], None
    )
    public = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public == sealed["PublicKey"]


def test_custom_key_stores_are_not_there(walker: Walker) -> None:
    """The operations on custom key stores are answered with AWS's own errors: there is none here."""
    kms = walker.kms
    assert kms.describe_custom_key_stores()["CustomKeyStores"] == []
    for operation, more in (
        ("update_custom_key_store", {"NewCustomKeyStoreName": "other"}),
        ("connect_custom_key_store", {}),
        ("disconnect_custom_key_store", {}),
        ("delete_custom_key_store", {}),
    ):
        code, _ = error_of(kms, operation, CustomKeyStoreId="cks-1234567890abcdef0", **more)
        assert code == "CustomKeyStoreNotFoundException"
    code, _ = error_of(
        kms,
        "create_custom_key_store",
        CustomKeyStoreName="mine",
        CloudHsmClusterId="cluster-2a23b4cdefg",
        KeyStorePassword="kmsPswd1234",
        TrustAnchorCertificate="-----BEGIN CERTIFICATE-----",
    )
    assert code == "CloudHsmClusterNotFoundException"


def test_nothing_was_left_out(walker: Walker) -> None:
    """Together the walks asked for every operation that boto3 knows."""
    assert walker.asked == walker.operations
