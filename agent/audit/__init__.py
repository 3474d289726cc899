"""The audit log: what is recorded, how it is made durable, and how it is verified."""
