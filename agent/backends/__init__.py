"""Who does the cryptography of a key."""
