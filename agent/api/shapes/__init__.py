"""Requests and responses as AWS models them, one file per family of operations."""
