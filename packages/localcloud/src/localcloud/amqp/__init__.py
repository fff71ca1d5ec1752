"""AMQP 1.0 in pure Python: the engine under Event Hubs and Service Bus.

Sources: OASIS "AMQP Version 1.0" parts 1 (types), 2 (transport), 3 (messaging) and 5 (security), and "AMQP
Claims-based Security Version 1.0". Reading order: types, codec, performatives, frames, link, node, session, connection.
"""
