"""AWS's policy language: reading policies and deciding requests. Values in, values out; no I/O, no clock."""
