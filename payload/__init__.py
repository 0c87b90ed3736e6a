"""What a push is, and the dictionary made of it.

In: facts that a reader found in a repository (`payload.push`). Out: the payload that a broker's
`handle` receives (`payload.build`), or the same push in another service's words (`payload.dialects`).

This package is the leaf of the house: standard library only, no input or output, no environment.
"""
