"""Mercurial's lazy modules and threads, in a process of their own."""

from __future__ import annotations

import subprocess
import sys

SETTLED = """\
import sys, threading
import hgdemandimport
hgdemandimport.enable()
import html.parser, xml.dom.minidom, mercurial.util
from importlib.util import _LazyModule
def lazy():
    return [name for name, module in sys.modules.items() if type(module) is _LazyModule]
assert "html.parser" in lazy(), "nothing was lazy, so nothing is shown"
from hghooks import imports
imports.settle()
left = [name for name in lazy() if not name.startswith(("mercurial", "hgext"))]
assert not left, left
assert not hgdemandimport.isenabled()
import colorsys
assert type(colorsys) is not _LazyModule
"""

AT_ONCE = """\
import sys, tempfile, threading
import hgdemandimport
hgdemandimport.enable()
with hgdemandimport.deactivated():
    import hghooks.changegroup
from brokers.delivery import spool
state = sys.argv[1]
class Ui:
    environ = {}
    said = []
    def configitems(self, section): return [(b"stateDir", state.encode())]
    def config(self, *names): return None
    def warn(self, line): self.said.append(line)
    def traceback(self): pass
class Repo:
    root, path = b"/srv/repo", b"/srv/repo/.hg"
sys.setswitchinterval(1e-5)
gate = threading.Barrier(16)
def push():
    gate.wait()
    hghooks.changegroup.hook(Ui(), Repo(), "changegroup", node=b"a" * 40, node_last=b"a" * 40, source=b"serve", url=b"remote:ssh:")
threads = [threading.Thread(target=push) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(spool.waiting(state)), Ui.said)
"""


def test_settled():
    subprocess.run([sys.executable, "-c", SETTLED], check=True)


def test_first_pushes_of_a_server_at_once(state_dir):
    import fcntl

    state_dir.mkdir()
    with (state_dir / "worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = subprocess.run(
            [sys.executable, "-c", AT_ONCE, state_dir], check=False, capture_output=True, text=True, pass_fds=()
        )
    assert ended.stderr == ""
    assert ended.stdout == "16 []\n"
