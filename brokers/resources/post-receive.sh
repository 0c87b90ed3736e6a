#!/bin/sh
# oberon-dispatcher 1: put here by `oberon install --chain`; `oberon uninstall` takes it out again.
# Runs each executable in post-receive.d, in the order of their names, and gives each all that git tells on stdin.
# Exits as the first that failed did.

lines=$(cat)
status=0
for hook in "$0".d/*; do
    if [ -f "$hook" ] && [ -x "$hook" ]; then
        printf '%s\n' "$lines" | "$hook" "$@"
        ended=$?
        [ "$status" -ne 0 ] || status=$ended
    fi
done
exit "$status"
