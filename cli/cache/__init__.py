"""`fleet cache`: which questions the semantic cache takes for one."""
