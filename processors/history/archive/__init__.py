"""Reading the history of a hub: files of Event Hubs Capture in Blob Storage, then what the hub itself holds."""
