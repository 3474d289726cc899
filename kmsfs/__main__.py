"""python -m kmsfs: the kmsfs command."""

from kmsfs.cli import main

main()
