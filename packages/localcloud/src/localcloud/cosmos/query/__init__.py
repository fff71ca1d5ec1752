"""The query language: grammar, syntax tree, evaluation, and the plan that clients ask for."""
