"""A topic of Event Grid: CloudEvents come in over HTTP, and go out to webhooks that have agreed to take them."""
