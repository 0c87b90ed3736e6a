"""Words for people: what a push looks like in a subject, a mail, a message.

In: a payload, of which only `repository` and `commits` are sure to be there (a broker may be given one of 2008). Out:
text in which nothing that was pushed can command a terminal or start a new header.
"""
