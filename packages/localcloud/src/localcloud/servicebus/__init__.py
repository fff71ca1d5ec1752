"""Service Bus on one machine: queues, topics and subscriptions, durable in SQLite, over AMQP 1.0 and Atom.

Reading order: entities, message, rules, queue, broker (the pure core); store, namespace (durability); then server,
message_inlet, queue_outlet, session_links, management (AMQP) and admin/ (HTTP).
"""
