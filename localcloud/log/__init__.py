"""The namespace's durable log: Kafka record batches in segment files, one row of files a partition."""
