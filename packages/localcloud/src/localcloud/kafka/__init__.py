"""The Kafka endpoint of the local Event Hubs namespace."""
