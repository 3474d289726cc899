"""What each operation does: its targets, its rules, its answer. Who may call it is settled before."""
