from __future__ import annotations

import fcntl
import os
import time

import pytest

from brokers.delivery import statedir


@pytest.fixture
def well(git_repo, oberon):
    assert oberon("install", git_repo.path).code == 0
    return git_repo


def checks(ran):
    return {check["looked_at"]: check for check in ran.json()["checks"]}


def test_all_is_well(well, oberon):
    well.record()
    well.drain()
    ran = oberon("doctor", well.path)
    assert ran.code == 0, ran.out
    assert {line.split()[0] for line in ran.out.splitlines()} == {"ok"}
    assert {
        "python",
        "git",
        "hg",
        "hook",
        "state directory",
        "spool",
        "outbox",
        "worker",
        "oberon.brokerPath",
        "service.good",
    } == set(checks(oberon("doctor", well.path, "--json")))


def test_of_the_machine(oberon, state_dir):
    ran = oberon("doctor", "--json", "--state-dir", state_dir)
    assert ran.code == 0
    assert "the first push makes it" in checks(ran)["state directory"]["told"]
    assert not state_dir.exists()


def test_the_machine_s_own_settings(oberon, run, state_dir):
    run(["git", "config", "--global", "oberon.worker", "3"])
    ran = oberon("doctor", "--state-dir", state_dir)
    assert ran.code == 2
    assert "did you mean workers?" in ran.out


def test_no_hook(git_repo, oberon):
    ran = oberon("doctor", git_repo.path, "--json")
    assert ran.code == 1
    hook = checks(ran)["hook"]
    assert (hook["level"], hook["remedy"]) == ("error", f"oberon install {git_repo.path}")


def test_another_hook(git_repo, oberon):
    hook = git_repo.server.path / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    assert checks(oberon("doctor", git_repo.path, "--json"))["hook"]["remedy"] == f"oberon install --chain {git_repo.path}"
    assert oberon("install", "--chain", git_repo.path).code == 0
    assert oberon("doctor", git_repo.path).code == 0
    hook.chmod(0o644)
    assert checks(oberon("doctor", git_repo.path, "--json"))["hook"]["remedy"] == f"chmod +x {hook}"


def test_a_hook_whose_oberon_is_gone(git_repo, oberon, tmp_path):
    hook = git_repo.server.path / "hooks" / "post-receive"
    hook.symlink_to(tmp_path / "gone" / "oberon-post-receive")
    told = checks(oberon("doctor", git_repo.path, "--json"))["hook"]
    assert told["level"] == "error"
    assert "gone" in told["told"]
    assert oberon("install", git_repo.path).code == 0
    assert oberon("doctor", git_repo.path).code == 0


def test_a_state_directory_that_others_may_read(well, oberon):
    statedir.prepare(str(well.state_dir))
    well.state_dir.chmod(0o755)
    ran = oberon("doctor", well.path, "--json")
    assert ran.code == 0
    assert checks(ran)["state directory"]["remedy"] == f"chmod 700 {well.state_dir}"


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_state_directory_that_cannot_be(well, oberon, tmp_path, name):
    (tmp_path / "file").write_text("")
    well.server.config("oberon.stateDir", str(tmp_path / name))
    ran = oberon("doctor", well.path, "--json")
    assert ran.code == 1
    check = checks(ran)["state directory"]
    assert check["level"] == "error"
    assert f"{tmp_path}/file is not a directory" in check["told"]
    assert "install -d" not in check["remedy"]  # it could not work
    assert "oberon.stateDir" in check["remedy"]


def test_a_full_disk(well, oberon, monkeypatch):
    statedir.prepare(str(well.state_dir))
    monkeypatch.setattr("brokers.cli.state.MIN_FREE_BYTES", 2**80)  # no file system has as much
    ran = oberon("doctor", well.path, "--json")
    assert ran.code == 1
    assert checks(ran)["state directory"]["told"] == f"no space left in {well.state_dir}"


def test_a_state_directory_that_is_not_ours(well, oberon_apart, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    well.server.config("oberon.stateDir", str(tmp_path / "closed" / "state"))
    ran = oberon_apart("doctor", well.path)
    assert ran.code == 1
    assert f"{tmp_path}/closed" in ran.out


def test_what_lies_in_the_spool(well, oberon):
    well.record()
    [file] = (well.state_dir / "spool" / "new").iterdir()
    os.utime(file, (time.time() - 3600,) * 2)
    (well.state_dir / "spool" / "bad" / "junk").write_bytes(b"junk")
    ran = oberon("doctor", well.path)
    assert ran.code == 1
    assert f"oberon run --drain --state-dir {well.state_dir}" in ran.out
    assert "could not be read as events" in ran.out


def test_the_worker(well, oberon):
    statedir.prepare(str(well.state_dir))
    assert checks(oberon("doctor", well.path, "--json"))["worker"]["told"] == "none runs; the next push starts one"
    with (well.state_dir / "worker.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "one runs" in checks(oberon("doctor", well.path, "--json"))["worker"]["told"]


def test_files_that_settings_name(well, oberon, broker_file, tmp_path):
    folder = broker_file("torn", "raise RuntimeError('no')")
    well.server.config("oberon.authorMap", str(tmp_path / "authors"))
    well.server.config("service.good.token", f"file:{tmp_path}/token")
    ran = oberon("doctor", well.path)
    assert ran.code == 2
    assert f"{folder}/torn.py: line 3: RuntimeError: no" in ran.out
    assert f"cannot read {tmp_path}/authors" in ran.out
    assert f"{tmp_path}/token is not there" in ran.out
    (tmp_path / "authors").write_text("ann@example.org = ann\n")
    assert "1 addresses" in oberon("doctor", well.path).out


def test_a_broker_file_that_others_may_write(well, oberon, broker_file):
    folder = broker_file("keeper", "")
    (folder / "keeper.py").chmod(0o666)
    ran = oberon("doctor", well.path)
    assert ran.code == 2
    assert f"chmod go-w {folder}/keeper.py" in ran.out


def test_no_repository(oberon, tmp_path):
    assert oberon("doctor", tmp_path).code == 2


def test_a_configuration_git_cannot_read(well, oberon):
    (well.server.path / "config").write_text("[core\n")
    ran = oberon("doctor", well.path)
    assert ran.code == 2
    [line] = [line for line in ran.out.splitlines() if line.startswith("error    configuration")]
    assert line.count("git config --list") == 1


def test_an_hgrc_that_hg_cannot_read(hg_server, oberon_apart):
    server = hg_server()
    server.hgrc("[services\n")
    ran = oberon_apart("doctor", server.path)
    assert ran.code == 2
    [line] = [line for line in ran.out.splitlines() if line.startswith("error    configuration")]
    assert f"{server.path}/.hg/hgrc:1" in line
    assert ran.out.count(f"hg -R {server.path} root") == 1
    assert "holds .hg" not in ran.out


def test_no_service(git_server, oberon, state_dir):
    server = git_server()
    server.config("oberon.stateDir", str(state_dir))
    remedy = checks(oberon("doctor", server.path, "--json"))["services"]["remedy"]
    assert f"git --git-dir={server.path} config service.ci.broker post" in remedy
    assert f"git --git-dir={server.path} config service.ci.url https://ci.example.org/hook" in remedy


def test_settings_of_no_service(well, oberon):
    well.server.config("service.broker", "post")
    ran = oberon("doctor", well.path)
    assert ran.code == 2
    assert f"service.broker: this names no service (in {well.path}/config); " in ran.out
    assert "git config service.NAME.broker post" in ran.out


LINKS = ("oberon.links", "oberon.repositoryUrl", "oberon.commitUrl", "oberon.compareUrl")


def links(ran):
    return {name: check for name, check in checks(ran).items() if name in LINKS}


@pytest.mark.parametrize(
    ("settings", "null"),
    [
        ({"links": "cgit"}, {"oberon.links": "repository, commit, compare"}),
        ({"links": "sourcehut"}, {"oberon.links": "repository, commit"}),
        (
            {"links": "cgit", "commitUrl": "https://x.example/{node}", "compareUrl": "{canonUrl}/{old}/{new}"},
            {"oberon.links": "repository", "oberon.compareUrl": "compare"},
        ),
        ({"commitUrl": "https://x.example/{node}"}, {}),
        ({"repositoryUrl": "{canonUrl}/{path}"}, {"oberon.repositoryUrl": "repository"}),
        ({"links": "gitea"}, {}),  # it tells its address
        ({"links": "none"}, {}),
        ({}, {}),
        ({"links": "cgit", "canonUrl": "https://git.example.org"}, {}),
    ],
)
def test_links_that_have_no_address(well, oberon, settings, null):
    for name, value in settings.items():
        well.server.config(f"oberon.{name}", value)
    ran = oberon("doctor", well.path, "--json")
    assert ran.code == 0
    found = links(ran)
    assert {name: check["level"] for name, check in found.items()} == dict.fromkeys(null, "warning")
    for name, pages in null.items():
        assert found[name]["told"] == f"oberon.canonUrl is not set, so these links are null: {pages} (in {well.path}/config)"
        assert found[name]["remedy"] == f"git --git-dir={well.path} config oberon.canonUrl https://git.example.org"


def test_links_whose_address_is_wrong_are_told_once(well, oberon):
    well.server.config("oberon.links", "cgit")
    well.server.config("oberon.canonUrl", "git.example.org")
    ran = oberon("doctor", well.path, "--json")
    assert ran.code == 2
    assert (links(ran), checks(ran)["oberon.canonUrl"]["level"]) == ({}, "error")


@pytest.mark.parametrize(("interface", "fits"), [("hgweb", False), ("hg-serve", False), ("cgit", True), ("kallithea", True)])
def test_links_of_another_kind_of_repository(well, oberon, interface, fits):
    well.server.config("oberon.canonUrl", "https://git.example.org")
    well.server.config("oberon.links", interface)
    ran = oberon("doctor", well.path, "--json")
    assert ran.code == 0
    found = links(ran)
    assert set(found) == (set() if fits else {"oberon.links"})
    for check in found.values():
        assert check["level"] == "warning"
        assert f"{interface} shows hg repositories, and this is one of git" in check["told"]
        assert "cgit" in check["remedy"]
        assert "hgweb" not in check["remedy"]


def test_links_of_a_mercurial_repository(hg_server, oberon_apart):
    server = hg_server()
    server.hgrc("[oberon]\nlinks = cgit\n")
    found = [
        check for check in oberon_apart("doctor", server.path, "--json").json()["checks"] if check["looked_at"] == "oberon.links"
    ]
    assert [check["level"] for check in found] == ["warning", "warning"]
    assert "cgit shows git repositories, and this is one of hg" in found[0]["told"]
    assert f"{server.path}/.hg/hgrc:2" in found[0]["told"]
    assert "hgweb" in found[0]["remedy"]
    assert found[1]["remedy"] == f"write `canonUrl = https://hg.example.org` under [oberon] in {server.path}/.hg/hgrc"
    server.hgrc("links = hgweb\ncanonUrl = https://hg.example.org\n")
    assert links(oberon_apart("doctor", server.path, "--json")) == {}


def test_mercurial(hg_server, oberon_apart, state_dir):
    server = hg_server()
    server.hgrc(f"[oberon]\nstatedir = {state_dir}\n[services]\nci.broker = post\nci.url = https://ci.example.org/hook\n")
    told = checks(oberon_apart("doctor", server.path, "--json"))
    assert told["hook"]["remedy"] == told["bookmark hook"]["remedy"] == f"oberon install {server.path}"
    assert (told["hook"]["level"], told["bookmark hook"]["level"]) == ("error", "warning")
    assert told["hg's python"]["level"] == "ok"
    assert oberon_apart("install", server.path).code == 0
    ran = oberon_apart("doctor", server.path)
    assert ran.code == 0, ran.out
    assert f"{server.path}/.hg/hgrc" in ran.out
    assert "services.ci" in ran.out


def test_mercurial_by_extension_and_switched_off(hg_server, oberon_apart):
    server = hg_server()
    server.hgrc("[extensions]\nhghooks =\n[services]\nci.broker = post\nci.url = https://ci.example.org/hook\n")
    told = checks(oberon_apart("doctor", server.path, "--json"))
    assert (told["hook"]["level"], told["bookmark hook"]["level"]) == ("ok", "ok")
    server.hgrc("[hooks]\nchangegroup.oberon =\ntxnclose-bookmark.oberon =\n")
    told = checks(oberon_apart("doctor", server.path, "--json"))
    assert (told["hook"]["level"], told["bookmark hook"]["level"]) == ("warning", "warning")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_mercurial_does_not_trust_the_owner(hg_server, oberon_apart):
    server = hg_server()
    assert oberon_apart("install", server.path).code == 0
    os.chown(server.path / ".hg" / "hgrc", 65534, -1)
    ran = oberon_apart("doctor", server.path)
    assert ran.code == 1
    assert "does not trust" in ran.out
