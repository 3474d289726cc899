"""What the decoder raises for anything that format.md says must be refused."""


class Refused(Exception):  # noqa: N818 - a verdict, not a failure
    """The volume, or a thing in it, is not as the specification demands."""
