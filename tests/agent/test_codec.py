"""Bytes to requests and back: AWS's texts for what is wrong, and nothing but them."""

import base64
import json
from typing import Any

import pytest
import rich.pretty
from hypothesis import given
from hypothesis import strategies as st

from agent.api import arn as arns
from agent.api import codec
from agent.api.errors import (
    COMMON_ERRORS,
    MODELLED_ERRORS,
    AccessDeniedException,
    InvalidArnException,
    NotFoundException,
    SerializationException,
    UnknownServiceError,
    ValidationException,
    error_from_wire,
)
from agent.api.operations import (
    CREATE_ALIAS,
    CREATE_KEY,
    DECRYPT,
    DISABLE_KEY,
    ENCRYPT,
    GENERATE_DATA_KEY,
    GENERATE_RANDOM,
    GET_KEY_POLICY,
    LIST_KEYS,
    OPERATIONS,
    Operation,
)
from agent.api.shapes.base import Empty
from agent.api.shapes.keys import KeyMetadata

ONE = "1 validation error detected:"
FAILED = "failed to satisfy constraint: Member must"

INVALID: list[tuple[Operation[Any, Any], dict[str, Any], str]] = [
    (
        GENERATE_RANDOM,
        {"NumberOfBytes": 1025},
        (f"{ONE} Value '1025' at 'numberOfBytes' {FAILED} have value less than or equal to 1024"),
    ),
    (
        GENERATE_RANDOM,
        {"NumberOfBytes": 0},
        (f"{ONE} Value '0' at 'numberOfBytes' {FAILED} have value greater than or equal to 1"),
    ),
    (DISABLE_KEY, {}, f"{ONE} Value null at 'keyId' {FAILED} not be null"),
    (ENCRYPT, {"KeyId": "k"}, f"{ONE} Value at 'plaintext' {FAILED} not be null"),
    (
        DISABLE_KEY,
        {"KeyId": None},
        f"{ONE} Value null at 'keyId' {FAILED} not be null",
    ),
    (
        ENCRYPT,
        {"KeyId": "k", "Plaintext": ""},
        f"{ONE} Value at 'plaintext' {FAILED} have length greater than or equal to 1",
    ),
    (
        ENCRYPT,
        {"KeyId": "k", "Plaintext": base64.b64encode(bytes(4097)).decode()},
        f"{ONE} Value at 'plaintext' {FAILED} have length less than or equal to 4096",
    ),
    (
        DECRYPT,
        {"CiphertextBlob": base64.b64encode(bytes(6145)).decode()},
        (f"{ONE} Value at 'ciphertextBlob' {FAILED} have length less than or equal to 6144"),
    ),
    (
        GENERATE_DATA_KEY,
        {"KeyId": "", "NumberOfBytes": 2000, "KeySpec": "AES_512"},
        (
            f"3 validation errors detected: Value '' at 'keyId' {FAILED} have length greater than or "
            f"equal to 1; Value '2000' at 'numberOfBytes' {FAILED} have value less than or equal to 1024; "
            f"Value 'AES_512' at 'keySpec' {FAILED} satisfy enum value set: [AES_256, AES_128]"
        ),
    ),
    (
        CREATE_ALIAS,
        {"AliasName": "alias/a b", "TargetKeyId": "k"},
        (
            f"{ONE} Value 'alias/a b' at 'aliasName' {FAILED} satisfy regular expression "
            "pattern: ^[a-zA-Z0-9:/_-]+$"
        ),
    ),
    (
        GET_KEY_POLICY,
        {"KeyId": "k", "PolicyName": "default\n"},
        (
            f"{ONE} Value 'default\n' at 'policyName' {FAILED} satisfy regular expression "
            r"pattern: [\w]+"
        ),
    ),
    (
        GENERATE_DATA_KEY,
        {"KeyId": "k", "GrantTokens": ["t"] * 11},
        (
            f"{ONE} Value '[{', '.join('t' * 11)}]' at 'grantTokens' {FAILED} have length "
            "less than or equal to 10"
        ),
    ),
    (
        GENERATE_DATA_KEY,
        {"KeyId": "k", "GrantTokens": ["", "t"]},
        (
            f"{ONE} Value '[, t]' at 'grantTokens' {FAILED} satisfy constraint: [Member "
            "must have length less than or equal to 8192, Member must have length greater than or equal to 1]"
        ),
    ),
    (
        GENERATE_DATA_KEY,
        {"KeyId": "k", "EncryptionContext": {"a": None}},
        (
            f"{ONE} Value '{{a=null}}' at 'encryptionContext' failed to satisfy constraint: "
            "Map value must satisfy constraint: [Member must not be null]"
        ),
    ),
    (
        CREATE_KEY,
        {"Tags": [{"TagKey": "a", "TagValue": "b"}, {"TagKey": ""}]},
        (
            f"2 validation errors detected: Value '' at 'tags.2.member.tagKey' {FAILED} have length greater "
            f"than or equal to 1; Value null at 'tags.2.member.tagValue' {FAILED} not be null"
        ),
    ),
    (
        LIST_KEYS,
        {"ResourceOwners": ["EVERYBODY"]},
        (
            f"{ONE} Value '[EVERYBODY]' at 'resourceOwners' {FAILED} satisfy constraint: "
            "[Member must satisfy enum value set: [SELF, OTHER_ACCOUNTS_VIA_RAM]]"
        ),
    ),
]


@pytest.mark.parametrize(("operation", "members", "message"), INVALID)
def test_broken_constraints_are_named_in_the_words_of_aws(
    operation: Operation[Any, Any], members: dict[str, Any], message: str
) -> None:
    """Every broken constraint is listed, with its value unless that is a blob."""
    with pytest.raises(ValidationException) as caught:
        codec.decode_request(operation, json.dumps(members).encode())
    assert caught.value.message == message


MALFORMED: list[tuple[Operation[Any, Any], bytes, str]] = [
    (LIST_KEYS, b"{", "The request body is not valid JSON"),
    (LIST_KEYS, b"{} {}", "The request body is not valid JSON"),
    (LIST_KEYS, b'{"Marker":"\xff"}', "The request body is not valid JSON"),
    (
        GENERATE_DATA_KEY,
        b'{"KeyId":"k","EncryptionContext":{"a":"\\ud800"}}',
        "The request body is not valid JSON",
    ),
    (
        LIST_KEYS,
        b'{"Unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "The request body is not valid JSON",
    ),
    (LIST_KEYS, b"[]", "Unexpected field type"),
    (LIST_KEYS, b'{"Limit":"5"}', "STRING_VALUE can not be converted to an Integer"),
    (LIST_KEYS, b'{"Limit":true}', "BOOLEAN_VALUE can not be converted to an Integer"),
    (DISABLE_KEY, b'{"KeyId":5}', "NUMBER_VALUE can not be converted to a String"),
    (DISABLE_KEY, b'{"KeyId":["k"]}', "Start of list found where not expected"),
    (DISABLE_KEY, b'{"KeyId":{"k":1}}', "Start of structure or map found where not expected."),
    (ENCRYPT, b'{"KeyId":"k","Plaintext":"$"}', "Value is not valid Base64"),
    (CREATE_KEY, b'{"Tags":"a"}', "Unexpected field type"),
    (GENERATE_DATA_KEY, b'{"KeyId":"k","EncryptionContext":[]}', "Unexpected field type"),
    (DISABLE_KEY, b'{"KeyId":5,"KeyId":"k"}', "Duplicate field in the request body"),
]


@pytest.mark.parametrize(("operation", "body", "message"), MALFORMED)
def test_wrong_types_are_serialization_errors(
    operation: Operation[Any, Any], body: bytes, message: str
) -> None:
    """What is not JSON, or of another JSON type than modelled, is no validation error."""
    with pytest.raises(SerializationException) as caught:
        codec.decode_request(operation, body)
    assert caught.value.message == message


def test_plaintext_never_shows_in_a_refusal() -> None:
    """A refused request is not quoted where the model calls a member sensitive."""
    secret = base64.b64encode(b"hunter2 " * 600).decode()
    with pytest.raises(ValidationException) as caught:
        codec.decode_request(ENCRYPT, json.dumps({"KeyId": "", "Plaintext": secret}).encode())
    assert secret[:16] not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_long_values_are_cut_in_a_refusal() -> None:
    """A text is not as long as the request it refuses."""
    with pytest.raises(ValidationException) as caught:
        codec.decode_request(DISABLE_KEY, json.dumps({"KeyId": "k" * 1_000_000}).encode())
    assert len(caught.value.message) < 2000


def test_an_empty_body_is_an_empty_structure() -> None:
    """Operations without required members may be called with no body at all; the answer may be empty too."""
    assert codec.decode_request(LIST_KEYS, b"") == LIST_KEYS.request()
    assert codec.encode_response(Empty()) == b""
    assert codec.decode_response(DISABLE_KEY, b"") == Empty()


def test_unknown_members_are_passed_over() -> None:
    """A newer client or service may send members that this version does not know."""
    assert codec.decode_request(LIST_KEYS, b'{"Novelty":{"a":[1]}}') == LIST_KEYS.request()
    body = b'{"Keys":[],"Truncated":false,"Novelty":1}'
    assert codec.decode_response(LIST_KEYS, body) == LIST_KEYS.response(keys=(), truncated=False)


BODIES = st.one_of(
    st.binary(max_size=64),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["KeyId", "Plaintext", "Tags", "TagKey", "Limit", "EncryptionContext", "Recipient"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(operation=st.sampled_from([*OPERATIONS.values()]), body=BODIES)
def test_any_bytes_are_a_request_or_one_of_two_errors(operation: Operation[Any, Any], body: bytes) -> None:
    """Any body is a request, which encodes to a body of the same request, or is refused as AWS would."""
    try:
        request = codec.decode_request(operation, body)
    except (SerializationException, ValidationException):
        return
    assert codec.decode_request(operation, codec.encode_request(request)) == request


def test_requests_and_responses_have_the_spelling_and_types_of_the_wire() -> None:
    """Members are spelled as AWS does, blobs are base64, dates seconds, and absent members are absent."""
    response = GENERATE_DATA_KEY.response(ciphertext_blob=b"c", plaintext=b"p", key_id="k")
    body = codec.encode_response(response)
    assert json.loads(body) == {"CiphertextBlob": "Yw==", "Plaintext": "cA==", "KeyId": "k"}
    assert codec.decode_response(GENERATE_DATA_KEY, body) == response
    metadata = CREATE_KEY.response(
        key_metadata=KeyMetadata(
            aws_account_id="1", key_id="k", creation_date=1.5, multi_region=False, description=""
        )
    )
    assert json.loads(codec.encode_response(metadata))["KeyMetadata"] == {
        "AWSAccountId": "1",
        "KeyId": "k",
        "CreationDate": 1.5,
        "MultiRegion": False,
        "Description": "",
    }


def test_secrets_are_in_no_representation() -> None:
    """Neither repr, str nor rich shows a plaintext."""
    shapes = (
        GENERATE_DATA_KEY.response(ciphertext_blob=b"c", plaintext=b"hunter2", key_id="k"),
        DECRYPT.response(plaintext=b"hunter2", key_id="k"),
        ENCRYPT.request(plaintext=b"hunter2", key_id="k"),
        GENERATE_RANDOM.response(plaintext=b"hunter2"),
    )
    for shape in shapes:
        for text in (repr(shape), str(shape), f"{[shape]}", rich.pretty.pretty_repr(shape)):
            assert "hunter2" not in text
            assert type(shape).__name__ in text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"Keys":5}', b'{"Keys":[{"KeyId":"k"}]}', b"[" * 100_000]
)
def test_a_response_that_is_none_is_refused(body: bytes) -> None:
    """What a service answers is checked as strictly as what a client asks."""
    with pytest.raises(codec.MalformedResponseError):
        codec.decode_response(LIST_KEYS, body)


@pytest.mark.parametrize("code", [*MODELLED_ERRORS, *COMMON_ERRORS])
def test_errors_survive_the_wire(code: str) -> None:
    """Class and message of an error are the same on both sides."""
    error = error_from_wire(code, "what happened")
    back = codec.decode_error(codec.encode_error(error), error.status)
    assert type(back) is type(error)
    assert (back.code, back.message, str(back)) == (code, "what happened", "what happened")


def test_errors_are_spelled_as_aws_does() -> None:
    """Modelled errors have a small message, others a capital one; both are understood."""
    assert codec.encode_error(NotFoundException("m")) == b'{"__type":"NotFoundException","message":"m"}'
    assert (
        codec.encode_error(AccessDeniedException("m")) == b'{"__type":"AccessDeniedException","Message":"m"}'
    )
    assert codec.encode_error(NotFoundException()) == b'{"__type":"NotFoundException","message":""}'


def test_unknown_errors_keep_their_code() -> None:
    """A code that this version does not know, or one with a namespace, is still told."""
    novel = codec.decode_error(b'{"__type":"com.amazonaws.kms#NovelException","message":"m"}', 400)
    assert isinstance(novel, UnknownServiceError)
    assert (novel.code, novel.message) == ("NovelException", "m")
    known = codec.decode_error(b'{"__type":"com.amazonaws.kms#NotFoundException:http://x/"}', 400)
    assert (type(known), known.message) == (NotFoundException, "")
    assert UnknownServiceError.code == "UnknownServiceError"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"__type":5}', b"[" * 100_000])
def test_what_is_no_error_of_the_service_is_told_so(body: bytes) -> None:
    """A proxy's error page is not taken for the service's word."""
    with pytest.raises(codec.MalformedResponseError, match="502"):
        codec.decode_error(body, 502)


def test_arns_are_taken_apart_and_put_together() -> None:
    """What is built parses to its parts; what is not an ARN is refused."""
    text = arns.key_arn("local", "000000000000", "k")
    assert text == "arn:aws:kms:local:000000000000:key/k"
    assert arns.parse(text) == arns.Arn("aws", "kms", "local", "000000000000", "key/k")
    assert str(arns.parse("arn:aws:iam::1:user/a:b")) == "arn:aws:iam::1:user/a:b"
    assert arns.alias_arn("local", "1", "alias/a") == "arn:aws:kms:local:1:alias/a"
    for wrong in (
        "",
        "arn",
        "arn:aws:kms",
        "arn:aws:kms:local:1",
        "arn:aws:kms:local:1:",
        "urn:aws:kms:a:1:k",
    ):
        with pytest.raises(InvalidArnException):
            arns.parse(wrong)
