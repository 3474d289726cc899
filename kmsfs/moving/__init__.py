"""Moving trees of files into a volume and out of it, without a mount; only its command knows of it."""
