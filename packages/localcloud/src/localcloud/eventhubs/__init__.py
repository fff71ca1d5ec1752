"""Event Hubs over AMQP 1.0: events in and out of the durable log that the Kafka endpoint shares."""
