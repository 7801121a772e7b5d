"""What this kernel is: facts read from it, the known changes, the semantics they select."""
