"""Owns the names of the actions that a policy can be about. Knows nothing of requests.

An action is `SERVICE:NAME`. Those of KMS and of the agent itself are all known, so a misspelt one, which
would allow or deny nothing, is refused; those of other services are left alone, they never match.
"""

from collections.abc import Mapping
from typing import Final

from agent.api.operations import ADMINISTRATION, OPERATIONS
from agent.policy.errors import PolicyError, quote
from agent.policy.match import Pattern, pattern

_WITHOUT_AN_OPERATION: Final = ("kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:SynchronizeMultiRegionKey")
"""Actions that no operation bears the name of."""

ACTIONS: Final[frozenset[str]] = frozenset(
    {
        *_WITHOUT_AN_OPERATION,
        *(f"kms:{name}" for name in OPERATIONS if name != "ReEncrypt"),
        *(operation.action for operation in ADMINISTRATION.values()),
    }
)
"""Every action of KMS and of the agent's administration."""

_FOLDED: Final = frozenset(action.casefold() for action in ACTIONS)
_OURS: Final = ("kms", "kms-agent")
_NO_CONTEXT: Final[Mapping[str, tuple[str, ...]]] = {}
_WILDCARDS: Final = frozenset("*?")


def read_action(text: str) -> Pattern:
    """Read one element of Action or NotAction.

    Raises:
        PolicyError: it is no action, or one of ours that does not exist.
    """
    read = pattern(text, variables=False, folded=True)
    if text == "*":
        return read
    service, colon, name = text.partition(":")
    if not (colon and service and name) or _WILDCARDS & set(service):
        raise PolicyError(f"{quote(text)} is not an action; write kms:NAME, kms:* or *")
    if service.casefold() in _OURS and not any(read.matches(action, _NO_CONTEXT) for action in _FOLDED):
        raise PolicyError(f"{quote(text)} is not an action of this service")
    return read
