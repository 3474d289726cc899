"""Who may do what: from a request's targets to keys and permission."""
