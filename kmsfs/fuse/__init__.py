"""Answering the kernel's FUSE requests for one mount; nothing else knows that there is FUSE."""
