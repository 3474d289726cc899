"""Owns the known-answer tests of signatures, public-key encryption and MACs that run before anything else.

Each uses the code that the agent uses. Sources: RSA: the key and the ciphertext are the first of the vectors
"oaep-sha256-sha256" of pyca/cryptography (checked there with Bouncy Castle), its signatures were made with
the openssl command. ECDSA: RFC 6979, appendices A.2.5 to A.2.7, message "sample"; secp256k1: the first
SHA-256 case of pyca/cryptography's SECP256K1 vectors. Ed25519: RFC 8032, section 7.1, test 3; Ed25519ph:
section 7.3. ML-DSA: key generation from the first seed of "kat_MLDSA_*_det_pure". HMAC: RFC 4231, test
case 2.

Signatures that use fresh random bytes cannot have a known answer: those are verified instead.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.api.enums import (
    EncryptionAlgorithmSpec,
    KeySpec,
    MacAlgorithmSpec,
    MessageType,
    SigningAlgorithmSpec,
)
from agent.api.errors import KMSInvalidMacException, KMSInvalidSignatureException
from agent.crypto import ed25519, keypairs, mac, mldsa, rsa
from agent.crypto.kdf import sha256
from agent.crypto.keypairs import PrivateKey, PublicKey
from agent.crypto.signatures import SCHEMES

_MESSAGE: Final = b"known answer"
_RSA_KEY: Final = b64decode(
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC46BSiXKZMjeFvc4SaeMixO7CGpAcwFgT2dO+1iO57mWsbailo"
    "YlolSOmrAc5qNpmQfjA8igLJ5A6ja9bYsqdLHumPqINaSA38dR/dxJDlpGcHCVNWMWWH/DORluTX23DH/q5QoSY97dWJvsAJYkGT"
    "x95Hk9zfgwvjJWxw3h8C96fTUDA1/LliXECrt0RUcCA5AuoEXzN9MfzShQbkbNZVYJSfCM2Q/tqrvLZhW4hHN9P1rQHmfMDCmXrz"
    "Mos8gNXuCpqkCpEZvXWU/P4jJHKOqaj4OeZjRnoMRJFdAnXjTPHJYFrTF8RXP1fIX9fhnoLMb3cxTo20epCKV+PkQY5FAgMBAAEC"
    "ggEASvWKp+d3Y0GBSnVCJH0invbbsTl90HicumzdYHKKe4DOcuausqpscQEF+VVaIKTRzEnbtC8ewkm5xXZKOr7yIvn9JUfjOA5N"
    "3TJ+IKE3PGFRgwC80AxmZKJRJYxOaVOEfQ86C2XI4wIvtw+lOiii/Q3hhpLiz5mIkCTzuS3S1Jhwpd5vEYJ/6t4xvciIkUiWj60I"
    "t5QAf2hSSju86Ibe4kDLGPCxTiLr/lsEpPGnPJ7VatwIgbmsoqAqd2ot8oQ7PMpSjI3KcNsKcrqpeOjhHvgz8phAMAPeWCDPbVTV"
    "jeF1OqxIquaRGlX505OoKf1BaXmTZbekAVxZESd5N7sVAQKBgQDn4vNzWSwrmRmFHyOPGxtn6cdhu/JSszTVoSpupml0octfV9+g"
    "WVKY8UPvlY90UFccMcaCuR6iagNJODCIy+3Yfn7cbLUoelbX9zwx0C3248WLAcJ+/ayVHieaMxiVFSDETDkD5dx5PDzazECtBlUb"
    "0hm9bs/Rw/T46lE2dKsobQKBgQDMInn7iIugPCLGYTuxRmyeLNFh2Zu+wvda+Cz38OQ+saiovCPCT8KDi/+5TnkYEQc9pVxT4H4f"
    "7GPO/QZtxjHiXnTa5xWrPMGLXlb/Knht3uktMtxb1N+EnLgkbj9CwSeZhcXLaQmwYwQk3IqC1WBDh+lfuySHIGNrjnIIyh8GOQKB"
    "gQChAwNMOsTi2QHRX5fPTGExPDDHejt+lRTAqZHPFxnudFHEuD19F8i0jgJAH7dmakqyNxXBu0y8NaRmeO+qbP+P7fWklI8NtjUK"
    "7I8Nf6IK5olKRkSI7ReiyzdwaL5O9ka0RsDoJfl67QrMWjsmaVk7Yh2hXYpL+ybkl78gcs5N2QKBgGz/B6TvzqXbFjJYnpfUY5C9"
    "m3skxw0/avXux4wH2sdC8yxNcMaC8fhtWzjllrDr/rLCxZ6fopiHDu/pmHIqvl4BU2HCu4Y4JZu13rvWQIFh4Z1Zp+F8s3BKgeQp"
    "3atWGT/W9rrateqxo/fOrkKXjhPg0RJliWaBO7SlVWwuCAy5AoGBAMQkkMJC0H/UZPD2KKCUqHUI8Nne7j5r7kDlgPeLLi+6q6Oy"
    "pS1+VarN9r73gWAyOMJr8Jaq1y2W1pG/GkTUGhe/B2L5gNsHXuZAXbLkzg2Kl28GLW81OWuYmetsqS0Mjo6X0smzGSnc9W/LgTjc"
    "JSFzuC9mtHgxO/c/Wd/+msmw"
)
_RSA_PKCS1_SIGNATURE: Final = b64decode(
    "jgySgKZlTfQCk9OLbP1/sU7ihwNOJqL9PORupOdeFLQB9/fKwStltvICcWlM7MQXX/gLypp60G2pdRuUr1grzgj1pqq3fRXOhLP8"
    "U6XudTZIJWvVD2yQNOEYBigrOGZNEwx7XP7+s2Bbd6aw8664JIX8q6l5U+7bPBf5GOwTNh+yM6951E17mt4GVpey09M7FlM6xP4v"
    "GVooG7n7EBN7iFp1G/Lb7K1Td2b3lNILRoPlcsBHc3J0pXo/Dt2TGP62PZxhxlRDj/oodLsw8kxBPcvyPxPeoZzFvG9AGaavLnRR"
    "WHHckN2mBbCYM9z315AFlAHe/X3Nm+mkUwCgoLtNVg=="
)
_RSA_PSS_SIGNATURE: Final = b64decode(
    "h8OygXhN6zE+BUQmnjahAu0O3LvX1Kx22clIyKJaPhKFW96AfN4mFt7cS9dSLgJkiRMRgN+TaGLeZB6agiCO2RGMD0OdNtIw39WZ"
    "FxTpe+AW8imqegT8yvK9t+Ex2uyjcBsprTv5HAa7WIbjlBOrY98CFci0KTISoLIAP0FBaIx72hmH047/EPOROuqh3E9nwLdzdvwF"
    "Z2+wWEuRKd7LUznpPiZaujZcqLwmmq80Dql+sePJy9M225QwrG2OsdHuVM0V4f6otpQ90wcn6azb90z+T1uBqXsbEmD9nXMf2ykW"
    "cJFvOBqpt5KSQgRMcKoziCtgRyxL0aZELQ0wIZXAAQ=="
)
_OAEP_PLAINTEXT: Final = b64decode("ZigZThIHPbA7qUzanvlTI5fVDbp5uYcASv7+NA==")
_OAEP_CIPHERTEXT: Final = b64decode(
    "av28dt50RYGYqciQzFq7UlgK8BwglgNtyhBNZ/lqBd5oLaXCaXCoCDQ1J0QKqAudBDBF15g/RCo9N25bA5vPuWwbX9Dka1//hWRi"
    "cyk87V5ycpk4UAF/JPYTNZHVyXiHgamVKHPr/EWtTTT/8rTpq6v0nZ+aPXcmvc4+sv61Rdtc/vCxg71Vc1otNWtCeMVYDODkz9Ia"
    "CjrTsiXeOI/P1og5RxD5fVo5M+AdQ0/P9zJUI5D4kV1dKReA7WPUJcC+pbsK0lquOnA1Xj9FpEPqERuAUVt0PVvSJtM53HUWzmxB"
    "QUoKqXgZi8Z2L0Q+lXx75e29JfzdImxdln+gXXyQeQ=="
)

_P256_PRIVATE_KEY: Final = b64decode(
    "MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDJr6nYRbp1FmtcIVdnsdaTTlDD2zbomxJ7imIrEg9nIQ=="
)

# Algorithm, public key, message, signature.
_ECDSA: Final = (
    (
        SigningAlgorithmSpec.ECDSA_SHA_256,
        b64decode(
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8ma"
            "Qa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ=="
        ),
        b"sample",
        b64decode(
            "MEYCIQDv1IsqrLao/RFA3ZzUXoHWnSyHe1aq+ZHDTQ6oTq83FgIhAPfLHJQtZXxB1DbHobbin2Xz6QDbua/0Bk3Eqy+EOs2o"
        ),
    ),
    (
        SigningAlgorithmSpec.ECDSA_SHA_384,
        b64decode(
            "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE7DpOQVtOGaRWhhgCn0J/pdqai8SukuAuBqrlKGswDGTe+PDqkFWGYGSiVF"
            "FUgLwTgBXZty19VyROqO+awMYhiWcIpZNn+d+59UyoSz8cnbEoiyMcOuDU/nNE/SUzJkcg"
        ),
        b"sample",
        b64decode(
            "MGYCMQCU7buSpey4qtRzblbGkZFrP4gUBmbOn6c9ZMTqla0TPIGmSBUuRKz5bjbdHoD6vkYCMQCZ70rrFfF4zqH+QN"
            "smAxOPEw50ChliRSYgO2NR0KOpT6MpwUV4bmeee4LHGjhiisg="
        ),
    ),
    (
        SigningAlgorithmSpec.ECDSA_SHA_512,
        b64decode(
            "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBiUVQ0HhZMuAOqiO2lPIT+MMSH4bcl6BOWnFn205bzTcRI9RuRdtrXV"
            "Nwp/IPtjMVXTj/oW0r12HcrEdLmi9QI6QASTEByWLNTS/d94IoXmRYQTnC+RtH+H/4I1TWYw90aiig2yV0G1s0qCgA"
            "iyKswj+ST6r71NM/gepmlW3+qiv9/PU="
        ),
        b"sample",
        b64decode(
            "MIGHAkIAwyj6/L153XeFA3DEYyXZh8tSVWn7Y8XTvFOVDm1MXxdOJaHukBe11FBgat0VK1NJMdfU6EVcyR+bFb8F7D"
            "bjd/oCQWF8znz1BkgGxGf2eNO0CA1vHMUK8myiCUFzCCgbaK8oJiPqpj5bXAcj2LjDf/B3exog+Myx3MxDmX8e4ORN"
            "pKZ6"
        ),
    ),
    (
        SigningAlgorithmSpec.ECDSA_SHA_256,
        b64decode(
            "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEExyk5YESZ/qQ/GMdYpjC16TszMRcxg03jgZgth+C/o3PWs+O0+C79zUwjM"
            "QVYEvTSrj3/ItKInQRF6f7xyp5SQ=="
        ),
        b64decode(
            "XIaP7bgCaXnr0m8boHwn7t9P9tEEQ1BaluyvIbqMTwk3s80j/9w91CnUzRkF+428zu/xNQAg4YtY0rpwiHuqOpt4Ot"
            "MNP78hAzHN19+Nd976OYzazfwuNZx7pMrka7dEAd60F/i5EqGqlmruupw5x90iR5riswcZ3KLyIGxetLc="
        ),
        b64decode(
            "MEUCIQDYn5WGBwIwuwPmJcyhjIm7MRfNRy/27ipQgJ8OiQOTCQIgRZcoQukuOkGr7qEInYEutTQ8qPB1rJxm4T89socEhjg="
        ),
    ),
)

_ED25519_SEED: Final = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
_ED25519_SIGNATURE: Final = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
_ED25519PH_SEED: Final = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
_ED25519PH_SIGNATURE: Final = bytes.fromhex(
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
    "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
)

_ML_DSA_SEED: Final = bytes.fromhex("f696484048ec21f96cf50a56d0759c448f3779752f0383d37449690694cf7a68")
_ML_DSA_PUBLIC_KEY_SHA_256: Final[Mapping[KeySpec, str]] = {
    KeySpec.ML_DSA_44: "18288249b90bcbd48d473d2a507cc3c1e95e040f639ac3333a8ed1891de14552",
    KeySpec.ML_DSA_65: "ab0f27cfe4f84d2a9fa74d48467439df9e5dd8401f8715f82ed70e43a371400a",
    KeySpec.ML_DSA_87: "b509c4ebd6b5fa67009c73cc7cebe55a3f38486a24acfbf9d91dd04f63e660b5",
}

_MACS: Final[Mapping[MacAlgorithmSpec, str]] = {
    MacAlgorithmSpec.HMAC_SHA_224: "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
    MacAlgorithmSpec.HMAC_SHA_256: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    MacAlgorithmSpec.HMAC_SHA_384: (
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
    ),
    MacAlgorithmSpec.HMAC_SHA_512: (
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
    ),
}


def _rsa_pkcs1() -> bool:
    key = keypairs.load_private(_RSA_KEY, trusted=True)
    algorithm = SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_256
    signature = SCHEMES[algorithm].sign(key, MessageType.RAW, _MESSAGE)
    return signature == _RSA_PKCS1_SIGNATURE and _verifies(algorithm, key.public_key(), _MESSAGE, signature)


def _rsa_pss() -> bool:
    key = keypairs.load_private(_RSA_KEY, trusted=True)
    algorithm = SigningAlgorithmSpec.RSASSA_PSS_SHA_256
    return _verifies(algorithm, key.public_key(), _MESSAGE, _RSA_PSS_SIGNATURE) and _signs(algorithm, key)


def _rsa_oaep() -> bool:
    key = keypairs.load_private(_RSA_KEY, trusted=True)
    algorithm = EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256
    sealed = rsa.encrypt(key.public_key(), algorithm, _MESSAGE)
    return (
        rsa.decrypt(key, algorithm, _OAEP_CIPHERTEXT) == _OAEP_PLAINTEXT
        and rsa.decrypt(key, algorithm, sealed) == _MESSAGE
    )


def _ecdsa() -> bool:
    return all(
        _verifies(algorithm, keypairs.load_public(public_key), message, signature)
        for algorithm, public_key, message, signature in _ECDSA
    ) and _signs(SigningAlgorithmSpec.ECDSA_SHA_256, keypairs.load_private(_P256_PRIVATE_KEY, trusted=True))


def _ed25519() -> bool:
    key = Ed25519PrivateKey.from_private_bytes(_ED25519_SEED)
    algorithm = SigningAlgorithmSpec.ED25519_SHA_512
    signature = SCHEMES[algorithm].sign(key, MessageType.RAW, b"\xaf\x82")
    return signature == _ED25519_SIGNATURE and _verifies(algorithm, key.public_key(), b"\xaf\x82", signature)


def _ed25519ph() -> bool:
    if not ed25519.HAS_PREHASHED:
        return True  # what is not installed is refused, not computed
    key = Ed25519PrivateKey.from_private_bytes(_ED25519PH_SEED)
    algorithm = SigningAlgorithmSpec.ED25519_PH_SHA_512
    signature = SCHEMES[algorithm].sign(key, MessageType.DIGEST, b"abc")
    return signature == _ED25519PH_SIGNATURE and _verifies(algorithm, key.public_key(), b"abc", signature)


def _ml_dsa() -> bool:
    algorithm = SigningAlgorithmSpec.ML_DSA_SHAKE_256
    for spec, expected in _ML_DSA_PUBLIC_KEY_SHA_256.items():
        key = mldsa.PRIVATE_KEYS[spec].from_seed_bytes(_ML_DSA_SEED)
        if sha256(key.public_key().public_bytes_raw()).hex() != expected or not _signs(algorithm, key):
            return False
    return True


def _macs() -> bool:
    message = b"what do ya want for nothing?"
    for algorithm, expected in _MACS.items():
        if mac.generate(algorithm, b"Jefe", message).hex() != expected:
            return False
        try:
            mac.verify(algorithm, b"Jefe", message, bytes(len(expected) // 2))
        except KMSInvalidMacException:
            continue
        return False
    return True


def _signs(algorithm: SigningAlgorithmSpec, key: PrivateKey) -> bool:
    signature = SCHEMES[algorithm].sign(key, MessageType.RAW, _MESSAGE)
    return _verifies(algorithm, key.public_key(), _MESSAGE, signature)


def _verifies(algorithm: SigningAlgorithmSpec, key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Return whether the signature is accepted for its message, and refused for another."""
    scheme = SCHEMES[algorithm]
    try:
        scheme.verify(key, MessageType.RAW, message, signature)
    except KMSInvalidSignatureException:
        return False
    try:
        scheme.verify(key, MessageType.RAW, message + b"\0", signature)
    except KMSInvalidSignatureException:
        return True
    return False


PRIMITIVES: Final[tuple[tuple[str, Callable[[], bool]], ...]] = (
    ("RSASSA-PKCS1-v1_5", _rsa_pkcs1),
    ("RSASSA-PSS", _rsa_pss),
    ("RSAES-OAEP", _rsa_oaep),
    ("ECDSA", _ecdsa),
    ("Ed25519", _ed25519),
    ("Ed25519ph", _ed25519ph),
    ("ML-DSA", _ml_dsa),
    ("HMAC-SHA-2", _macs),
)
