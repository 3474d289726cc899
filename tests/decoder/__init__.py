"""A second reader of kmsfs volumes, written from docs/reference/format.md alone.

It shares no code with the program, and takes other ways where the cryptographic library offers them, so that
a mistake in one is not repeated in the other. It favours plainness over speed, and reads whole files at once.
"""

from decoder.keys import Keys
from decoder.refusal import Refused
from decoder.tree import Entry, decode

__all__ = ["Entry", "Keys", "Refused", "decode"]
