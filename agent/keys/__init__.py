"""Keys as values: what they are, which states they pass and which rules hold. No I/O."""
