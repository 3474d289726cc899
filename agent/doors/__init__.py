"""The doors of the agent: Unix socket and TCP ports, and for each request who asks. Knows no operation."""
