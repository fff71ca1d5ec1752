"""The index of an archive: where the events of a listener are. It is made of the archive, and may be deleted."""
