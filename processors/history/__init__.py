"""History: the archive of `music-events`, and what is made of it: rebuilds, moments of the past, erasure."""
