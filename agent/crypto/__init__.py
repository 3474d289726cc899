"""Pure cryptography: encryption contexts, ciphertext blobs, derivation, and their self-tests."""
