"""Event Hubs Capture: a hub's events as Avro files in a Blob container, window by window."""
