"""Who is calling: one module per way of finding out."""
