"""How the root key is protected at rest, and how it protects key material."""
