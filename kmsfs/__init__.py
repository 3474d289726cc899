"""kmsfs: a FUSE filesystem that encrypts each file with its own data key."""
