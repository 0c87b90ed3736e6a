"""`oberon demo`, as `make demo` runs it."""

import json
import re
import subprocess
import time

from tests.support.hooked import SCRIPTS


def demo(*options):
    return subprocess.run([SCRIPTS / "oberon", "demo", *options], capture_output=True, text=True, timeout=60, check=False)


def test_it_shows_both_pushes_all_the_way(isolated):
    began = time.monotonic()
    done = demo()
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert seconds < 20
    git, hg = done.stdout.split("== An hg push ==")
    for part, scm in ((git, "git"), (hg, "hg")):
        assert "oberon: recorded this push as" in part.split("The payload as it arrived")[0]
        written = re.search(
            r"The payload as it arrived \(POST /hook, application/x-www-form-urlencoded\):\n(.*?)\n\n", part, re.DOTALL
        )
        assert written is not None
        payload = json.loads(written[1])
        assert payload["repository"]["scm"] == scm
        assert [commit["size"] for commit in payload["commits"]] == [14, 9]
        mail = part.split("The mail as it arrived:")[1].split("The record of the deliveries:")[0]
        assert re.search(r"Subject: \[hello(-hg)?\] 2 commits on (main|default) by Ada Lovelace", mail)
        assert "say it in German too, issue #206 fixed" in mail
        record = part.split("The record of the deliveries:")[1]
        assert len(re.findall(r"^ +\d+ +#1 .* (web|mail) +delivered +1 ", record, re.MULTILINE)) == 2
    assert not list((isolated / "tmp").iterdir()), "nothing is left behind"


def test_it_leaves_what_is_to_be_kept_and_takes_no_folder_that_is_there(isolated):
    kept = isolated / "kept"
    kept.mkdir()
    refused = demo("--keep", str(kept))
    assert refused.returncode == 2
    assert "--keep" in refused.stderr
    assert "is there already" in refused.stderr
