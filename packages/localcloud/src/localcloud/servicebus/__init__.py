"""Service Bus on one machine: queues, topics and subscriptions, durable in SQLite, over AMQP 1.0 and Atom.

Reading order: entities, message, rules, queue, topic, broker (the pure core); store, service (durability); then
server, links, management (AMQP) and admin/ (HTTP).
"""
