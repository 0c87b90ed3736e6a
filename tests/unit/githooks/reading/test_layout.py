from __future__ import annotations

import pytest

from brokers.errors import RepositoryGone
from githooks.reading import layout
from githooks.reading.store import open_objects
from tests.support.command import run


@pytest.mark.parametrize(
    ("listed", "separator", "expected"),
    [
        (b"", b":", []),
        (b"/a:/b", b":", ["/a", "/b"]),
        (b":/a::", b":", ["/a"]),
        (b'"/with:colon":/b', b":", ["/with:colon", "/b"]),
        (b'"/with \\"quotes\\" and \\\\"', b":", ['/with "quotes" and \\']),
        (b'"/tab\\tand\\012line"', b"\n", ["/tab\tand\nline"]),
        (b'"/caf\\303\\251"\n../b\n', b"\n", ["/café", "../b"]),
        (b"# told\n/a\n", b"\n", ["/a"]),
        (b"/a:b\n", b"\n", ["/a:b"]),
    ],
)
def test_borrowed_directories(listed, separator, expected):
    assert layout.borrowed(listed, separator) == expected


def test_a_directory_in_quotes_is_read_as_git_reads_it(git_server, tmp_path):
    lender = git_server("lends:this")
    borrower = git_server("borrower")
    blob = lender.git("hash-object", "-w", "--stdin", input="lent")
    environment = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{lender.path}/objects"'}
    shown = run(["git", f"--git-dir={borrower.path}", "cat-file", "-p", blob], env=environment)
    with open_objects(str(borrower.path), environment) as store:
        assert store.raw(blob.encode())[1] == shown.stdout.encode() == b"lent"


def test_no_repository(tmp_path):
    with pytest.raises(RepositoryGone):
        layout.common_dir(str(tmp_path))
