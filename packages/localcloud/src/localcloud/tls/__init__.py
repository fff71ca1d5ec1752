"""TLS of all listeners: an authority of the data folder, and a certificate for this machine's addresses."""
