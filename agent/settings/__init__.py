"""The parts of the configuration that have a structure of their own, each with its checks. Reads no file."""
