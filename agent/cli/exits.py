"""Exit statuses of ``kms-agent``, which error gives which, and what to do about it.

| status | meaning |
| --- | --- |
| 0 | done |
| 1 | an error of the program itself; please report it |
| 2 | the command line is wrong |
| 3 | no agent answers, or something else does |
| 4 | the agent says that you may not do this |
| 5 | there is no such key or alias |
| 6 | the state of the key does not allow this |
| 7 | the agent refuses the request as invalid |
| 8 | the agent failed; nothing was changed unless it says so |
| 9 | the configuration or the socket cannot be used |
| 10 | the root key cannot be unsealed |
| 11 | the state directory or the key store cannot be used |
| 12 | the audit log is not what the agent wrote, or cannot be written |
| 130 | interrupted |
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from agent.api import errors
from agent.audit.errors import AuditUnavailableError, AuditVerificationError
from agent.client import AgentError, CredentialsError, InvalidAgentUrlError
from agent.config import ConfigError
from agent.listener import ListenError
from agent.seal.errors import SealError
from agent.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Exit(IntEnum):
    """The exit statuses, as in the table above."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NO_AGENT = 3
    DENIED = 4
    NOT_FOUND = 5
    STATE = 6
    INVALID = 7
    AGENT_FAILED = 8
    CONFIGURATION = 9
    SEALED = 10
    STORE = 11
    AUDIT = 12
    INTERRUPTED = 130


EXITS: Mapping[type[Exception], Exit] = {
    InvalidAgentUrlError: Exit.USAGE,
    CredentialsError: Exit.CONFIGURATION,
    AgentError: Exit.NO_AGENT,
    errors.AccessDeniedException: Exit.DENIED,
    errors.ExpiredTokenException: Exit.DENIED,
    errors.IncompleteSignatureException: Exit.DENIED,
    errors.InvalidSignatureException: Exit.DENIED,
    errors.MissingAuthenticationTokenException: Exit.DENIED,
    errors.UnrecognizedClientException: Exit.DENIED,
    errors.NotFoundException: Exit.NOT_FOUND,
    errors.DisabledException: Exit.STATE,
    errors.KMSInvalidStateException: Exit.STATE,
    errors.ConflictException: Exit.STATE,
    errors.KeyUnavailableException: Exit.STATE,
    errors.KMSInternalException: Exit.AGENT_FAILED,
    errors.DependencyTimeoutException: Exit.AGENT_FAILED,
    errors.ServiceError: Exit.INVALID,
    ConfigError: Exit.CONFIGURATION,
    ListenError: Exit.CONFIGURATION,
    SealError: Exit.SEALED,
    StoreError: Exit.STORE,
    AuditVerificationError: Exit.AUDIT,
    AuditUnavailableError: Exit.AUDIT,
}

ADVICE: Mapping[type[Exception], str] = {
    errors.ExpiredTokenException: "have a new session made: kms-agent access-key session",
    errors.InvalidSignatureException: "compare secret, clock and Region: AWS_REGION has to be one it serves",
    errors.MissingAuthenticationTokenException: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "see: kms-agent access-key create",
    errors.UnrecognizedClientException: "it may be disabled or deleted, see: kms-agent access-key list",
    errors.AccessDeniedException: "ask root, or whoever created the key",
    errors.NotFoundException: "see what there is: kms-agent key list; an alias is written alias/NAME",
    errors.NotAuthorizedException: "names that begin with alias/aws/ are kept for managed keys",
    errors.DisabledException: "enable the key first: kms-agent key enable KEY",
    errors.KMSInvalidStateException: "see the key's state: kms-agent key show KEY",
    errors.AlreadyExistsException: "choose another name, or move it: kms-agent alias update NAME KEY",
    errors.ThrottlingException: "try again a little later; quotas in the configuration set the rate",
    errors.KMSInternalException: "look into the agent's log, then try again",
    AuditVerificationError: "keep the log as it is, and find out who could write to it",
}
"""What to do next, for errors whose own words do not say."""


def exit_of(error: Exception) -> Exit:
    """Return the exit status for an error; ``BUG`` for one that nobody foresaw."""
    for kind in type(error).__mro__:
        if kind in EXITS:
            return EXITS[kind]
    return Exit.BUG


def message_of(error: Exception) -> str:
    """Say an error in one line or two, with the next step."""
    words = str(error)
    if isinstance(error, errors.ServiceError):
        words = f"{error.code}: {error.message}" if error.message else error.code
    advice = ADVICE.get(type(error))
    return f"{words}\n{advice}" if advice else words
