"""The interface that Azure's administration clients speak: Atom documents over HTTPS."""
