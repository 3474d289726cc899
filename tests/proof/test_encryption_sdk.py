"""The AWS Encryption SDK for Python, unchanged: master keys, keyrings, caching, multi-Region keys."""

import io
import os
from collections.abc import Iterator
from typing import Any

import aws_encryption_sdk
import boto3
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsKeyringInput,
    CreateAwsKmsMrkKeyringInput,
)
from aws_encryption_sdk.caches.local import LocalCryptoMaterialsCache
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import CommitmentPolicy
from aws_encryption_sdk.key_providers.kms import (
    MRKAwareStrictAwsKmsMasterKeyProvider,
    StrictAwsKmsMasterKeyProvider,
)
from aws_encryption_sdk.materials_managers.caching import CachingCryptoMaterialsManager
from cryptography.exceptions import InvalidTag

import ports
from agents import RunningAgent

PRIMARY, REPLICA = "eu-central-1", "us-east-1"
CONTEXT = {"purpose": "proof", "owner": "Zoë"}
PLAINTEXT = os.urandom(100_000)


@pytest.fixture(scope="module")
def agent() -> Iterator[RunningAgent]:
    """An agent of two Regions on a TCP port."""
    with ports.running({}, region=PRIMARY, regions=[REPLICA]) as agent:
        yield agent


@pytest.fixture(scope="module")
def access_key(agent: RunningAgent) -> dict[str, str]:
    """An access key of the account's root."""
    return ports.make_key(agent, "root")


@pytest.fixture(autouse=True)
def _environment(agent: RunningAgent, access_key: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK is told: an endpoint and an access key, in the environment as on any machine."""
    (url,) = ports.doors(agent)[1:]
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", url)
    for name, value in access_key.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", PRIMARY)


@pytest.fixture
def kms() -> Any:  # noqa: ANN401 - boto3 has no types
    """A client of boto3's, to make keys with."""
    return boto3.client("kms")


def client() -> aws_encryption_sdk.EncryptionSDKClient:
    """Return the SDK's client, with its strictest policy."""
    return aws_encryption_sdk.EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    )


def test_master_key_provider(kms: Any) -> None:  # noqa: ANN401 - boto3 has no types
    """Data encrypted under two keys opens with either; without any of them, and once disabled, not."""
    keys = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(3)]
    ciphertext, header = client().encrypt(
        source=PLAINTEXT,
        key_provider=StrictAwsKmsMasterKeyProvider(key_ids=keys[:2]),
        encryption_context=CONTEXT,
    )
    assert len(header.encrypted_data_keys) == 2
    for key in keys[:2]:
        provider = StrictAwsKmsMasterKeyProvider(key_ids=[key])
        plaintext, opened = client().decrypt(source=ciphertext, key_provider=provider)
        assert plaintext == PLAINTEXT
        assert CONTEXT.items() <= opened.encryption_context.items()
    stranger = StrictAwsKmsMasterKeyProvider(key_ids=[keys[2]])
    with pytest.raises(AWSEncryptionSDKClientError):
        client().decrypt(source=ciphertext, key_provider=stranger)
    kms.disable_key(KeyId=keys[0])
    with pytest.raises(AWSEncryptionSDKClientError):
        client().decrypt(source=ciphertext, key_provider=StrictAwsKmsMasterKeyProvider(key_ids=keys[:1]))


def test_streams(kms: Any) -> None:  # noqa: ANN401 - boto3 has no types
    """A stream in frames goes through, and a changed byte is found."""
    provider = StrictAwsKmsMasterKeyProvider(key_ids=[kms.create_key()["KeyMetadata"]["Arn"]])
    with client().stream(
        mode="e", source=io.BytesIO(PLAINTEXT), key_provider=provider, frame_length=1024
    ) as encryptor:
        ciphertext = bytearray(encryptor.read())
    with client().stream(mode="d", source=io.BytesIO(ciphertext), key_provider=provider) as decryptor:
        assert decryptor.read() == PLAINTEXT
    ciphertext[len(ciphertext) // 2] ^= 1
    with (
        pytest.raises(InvalidTag),
        client().stream(mode="d", source=io.BytesIO(ciphertext), key_provider=provider) as decryptor,
    ):
        decryptor.read()


def test_keyring(kms: Any) -> None:  # noqa: ANN401 - boto3 has no types
    """The keyring of the material providers library encrypts and decrypts, its contexts required."""
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    keyring = providers.create_aws_kms_keyring(
        CreateAwsKmsKeyringInput(kms_key_id=kms.create_key()["KeyMetadata"]["Arn"], kms_client=kms)
    )
    ciphertext, _ = client().encrypt(source=PLAINTEXT, keyring=keyring, encryption_context=CONTEXT)
    plaintext, _ = client().decrypt(source=ciphertext, keyring=keyring, encryption_context=CONTEXT)
    assert plaintext == PLAINTEXT
    with pytest.raises(Exception, match=r"(?i)encryption context"):
        client().decrypt(source=ciphertext, keyring=keyring, encryption_context={"purpose": "another"})


def test_multi_region_keys(kms: Any) -> None:  # noqa: ANN401 - boto3 has no types
    """What was encrypted in one Region decrypts in the other, by provider and by keyring."""
    primary = kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
    replica = kms.replicate_key(KeyId=primary, ReplicaRegion=REPLICA)["ReplicaKeyMetadata"]["Arn"]
    there = boto3.client("kms", region_name=REPLICA)
    while there.describe_key(KeyId=replica)["KeyMetadata"]["KeyState"] == "Creating":
        pass
    ciphertext, _ = client().encrypt(
        source=PLAINTEXT, key_provider=MRKAwareStrictAwsKmsMasterKeyProvider(key_ids=[primary])
    )
    plaintext, _ = client().decrypt(
        source=ciphertext, key_provider=MRKAwareStrictAwsKmsMasterKeyProvider(key_ids=[replica])
    )
    assert plaintext == PLAINTEXT
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    keyring = providers.create_aws_kms_mrk_keyring(
        CreateAwsKmsMrkKeyringInput(kms_key_id=replica, kms_client=there)
    )
    assert client().decrypt(source=ciphertext, keyring=keyring)[0] == PLAINTEXT


def test_caching_materials_manager(agent: RunningAgent, kms: Any) -> None:  # noqa: ANN401 - boto3 has no types
    """Ten messages under cached materials ask the agent for one data key."""
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    manager = CachingCryptoMaterialsManager(
        master_key_provider=StrictAwsKmsMasterKeyProvider(key_ids=[arn]),
        cache=LocalCryptoMaterialsCache(10),
        max_age=600.0,
        max_messages_encrypted=100,
    )
    sealed = [client().encrypt(source=b"%d" % number, materials_manager=manager)[0] for number in range(10)]
    for number, ciphertext in enumerate(sealed):
        assert client().decrypt(source=ciphertext, materials_manager=manager)[0] == b"%d" % number
    asked = [
        record["eventName"]
        for record in ports.records(agent)
        if record["resources"] and record["resources"][0]["ARN"] == arn
    ]
    assert asked.count("GenerateDataKey") == 1
    assert asked.count("Decrypt") == 1
