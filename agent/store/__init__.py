"""Where keys are kept: the Store protocol and its SQLite implementation."""
