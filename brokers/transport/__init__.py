"""Bytes for machines: the only code that opens a socket to a service.

In: what a broker wants said, and the circumstances of its call (`brokers.transport.call`). Out: the service's answer,
an entry in the call's record, or an error of `brokers.errors`.
"""
