"""Proof that a running system loses nothing and counts nothing twice: load, faults, references and checks."""
