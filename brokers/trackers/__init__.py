"""What the brokers of issue trackers share: which issues a commit message names, what is said there, and in which order.

`verbs` reads the messages, `comment` writes what an issue is told, and `tracker` has the base class that brings them together;
the others are what one kind of tracker each understands.
"""
