"""Who calls: scopes, tokens for commands, and the check of tokens that callers show."""
