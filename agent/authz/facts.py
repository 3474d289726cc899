"""Owns what is known of a request when it is to be permitted. Knows nothing of condition keys."""

from typing import NamedTuple

from agent.api.shapes.base import Shape
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.operations.kms import Kms


class Facts(NamedTuple):
    """One action of one request.

    Attributes:
        kms: in the Region that the action is carried out in.
        principal: who asks.
        action: such as `kms:Decrypt`.
        request: all of it.
        key: the key that is the resource; None where the resource is none.
        model: the key whose spec, usage and origin the request is about though it is not the resource: the
            primary of a replica to be made.
        request_alias: the alias by which the request names the key; None if it names it otherwise.
        both_keys_alike: whether ReEncrypt decrypts and encrypts under the same key.
    """

    kms: Kms
    principal: Principal
    action: str
    request: Shape
    key: Key | None = None
    model: Key | None = None
    request_alias: str | None = None
    both_keys_alike: bool = False
