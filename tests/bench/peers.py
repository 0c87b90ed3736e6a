"""Read the same with what others offer: `python tests/bench/peers.py NAME REPO OLD NEW`, as their documentation would have one do it.

Each writes a line of JSON for each commit: node, author, message and changed files, with sizes where that is to be had.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator


def dulwich(repo: str, old: str, new: str) -> Iterator[dict]:
    """dulwich's walker, `tree_changes` and `raw_length`."""
    from dulwich.diff_tree import tree_changes
    from dulwich.repo import Repo

    with Repo(repo) as opened:
        store = opened.object_store
        for entry in opened.get_walker(include=[new.encode()], exclude=[old.encode()]):
            commit = entry.commit
            parent = store[commit.parents[0]].tree if commit.parents else None
            files = []
            for change in tree_changes(store, parent, commit.tree):
                sides = [side for side in (change.old, change.new) if side is not None and side.sha is not None]
                sizes = [store[side.sha].raw_length() for side in sides if side.mode != 0o160000]
                files.append([sides[-1].path.decode("utf-8", "replace"), change.type, *sizes])
            message = commit.message.decode("utf-8", "replace")
            yield {
                "node": commit.id.decode(),
                "author": commit.author.decode("utf-8", "replace"),
                "message": message,
                "files": files,
            }


def pydriller(repo: str, old: str, new: str) -> Iterator[dict]:
    """PyDriller's `traverse_commits` and `modified_files`, which has no sizes. It tells of `old` too."""
    from pydriller import Repository

    for commit in Repository(repo, from_commit=old, to_commit=new).traverse_commits():
        files = [[change.new_path or change.old_path, change.change_type.name] for change in commit.modified_files]
        yield {"node": commit.hash, "author": commit.author.name, "message": commit.msg, "files": files}


def gitpython(repo: str, old: str, new: str) -> Iterator[dict]:
    """GitPython's `iter_commits`, `diff` and `size`."""
    from git import NULL_TREE, Repo

    with Repo(repo) as opened:
        for commit in opened.iter_commits(f"{old}..{new}"):
            changes = commit.parents[0].diff(commit) if commit.parents else commit.diff(NULL_TREE)
            files = []
            for change in changes:
                blobs = [blob for blob in (change.a_blob, change.b_blob) if blob is not None and blob.type == "blob"]
                files.append([change.b_path or change.a_path, change.change_type, *(blob.size for blob in blobs)])
            yield {"node": commit.hexsha, "author": commit.author.name, "message": str(commit.message), "files": files}


PEERS = {"PyDriller": ("pydriller", pydriller), "GitPython": ("git", gitpython), "dulwich's walker": ("dulwich", dulwich)}


def there() -> list[str]:
    """Those that are installed."""
    return [name for name, (module, _) in PEERS.items() if importlib.util.find_spec(module)]


def main(name: str, repo: str, old: str, new: str) -> None:
    commits = 0
    for commit in PEERS[name][1](repo, old, new):
        sys.stdout.write(json.dumps(commit, default=str) + "\n")
        commits += 1
    sys.stderr.write(json.dumps({"commits": commits}))


if __name__ == "__main__":
    main(*sys.argv[1:])
