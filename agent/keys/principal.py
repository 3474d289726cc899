"""Owns the value that says who is calling. Knows nothing of how that was found out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, in the words of IAM.

    Attributes:
        arn: `arn:aws:iam::ACCOUNT:root` for uid 0, `arn:aws:iam::ACCOUNT:user/LOGIN` for anyone else.
        account_id: the twelve digits of the account.
        principal_id: stable identifier of the caller, as CloudTrail's `userIdentity.principalId`.
        uid: the caller's user id on this machine, where the kernel told it.
    """

    arn: str
    account_id: str
    principal_id: str
    uid: int | None = None

    @property
    def is_account_root(self) -> bool:
        """Whether this is the account itself rather than one of its users."""
        return self.arn.endswith(":root") and self.arn.startswith("arn:aws:iam::")
