"""The parts of the check of an audit log: they share no code with what writes it."""
