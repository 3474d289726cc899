"""The rows of the table of operations, one module for each kind: who needs a few need not load all."""
