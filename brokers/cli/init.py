"""oberon init: prepare a state directory, for one user or for a group of them."""

from __future__ import annotations

import argparse
import grp
import os
import pwd
import shlex
import stat
from pathlib import Path

from brokers.cli import arguments as common
from brokers.cli import output, state
from brokers.cli.preparation import Making, Plan
from brokers.delivery import layout, record, statedir
from brokers.delivery.layout import group_of, name_of
from brokers.errors import ConfigError

SERVICE_USER = "oberon"
SERVICE = "oberon-worker.service"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon init`."""
    common.describe(
        parser,
        "Prepare the state directory, or mend one that is there; one that is shared stays so.\n"
        "Without --group it is its user's alone, as hooks make it by themselves. With --group, hooks that run as the many users\n"
        "of a unix group share it: each can add a push, and none can list, read or remove those of the others. There the worker\n"
        "does not start by itself: it runs as a service, as one user. Without --state-dir that is /var/lib/oberon, unless git's\n"
        "system or global configuration names another.",
        """
        oberon init --group developers
        oberon init --group developers --user oberon --state-dir /srv/oberon --dry-run
        oberon init --state-dir /srv/oberon --user git
        """,
    )
    common.state_dir(parser)
    parser.add_argument("--group", metavar="G", help="the unix group whose members push")
    parser.add_argument(
        "--user",
        metavar="U",
        help=f"the user the worker runs as; default: whose it is already, else you, and for root `{SERVICE_USER}`",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def run(arguments: argparse.Namespace) -> int:
    """0."""
    place = arguments.state_dir or (statedir.SYSTEM_DIR if arguments.group and not _configured() else state.of_machine(None))
    plan = _plan(place, arguments.group, arguments.user)
    making = Making(plan, dry_run=arguments.dry_run)
    making.all()
    for line in making.told or [f"{plan.state_dir} is as it should be"]:
        output.say(line)
    for line in _warnings(plan):
        output.warn(line)
    output.say()
    output.say("next:")
    for line in _next(plan):
        output.say(f"  {line}")
    return 0


def _configured() -> bool:
    return bool(os.environ.get(common.STATE_VARIABLE) or state.machine_settings().state_dir)


# ------------------------------------------------------------------------------------------------------------- for whom


def _plan(state_dir: str, group: str | None, user: str | None) -> Plan:
    """Who the worker and the pushers are. Raises ConfigError."""
    try:
        found = os.stat(state_dir, follow_symlinks=False)  # noqa: PTH116 - as in `layout`
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise ConfigError(f"cannot be looked at: {error.strerror}", origin=state_dir, remedy="run this as root") from error
    was_shared = found is not None and stat.S_ISDIR(found.st_mode) and layout.is_meant_to_be_shared(state_dir)
    gid = _group(group) if group else found.st_gid if found is not None and was_shared else None
    worker = _user(user) if user else _default_user(found)
    me = os.geteuid()
    if me not in (0, worker.pw_uid):
        raise ConfigError(
            f"{name_of(me)} cannot prepare what is to be {worker.pw_name}'s", origin=state_dir, remedy="run this as root"
        )
    if gid is not None:
        if exposed := layout.exposure(worker.pw_name, worker.pw_gid, gid):
            raise ConfigError(exposed[0], setting="--group", remedy=exposed[1])
        if me != 0 and gid not in (os.getegid(), *os.getgroups()):
            told = f"{name_of(me)} is not in the group {group_of(gid)}, so cannot give it anything"
            raise ConfigError(told, setting="--group", remedy="run this as root")
    return Plan(state_dir, worker, gid, was_shared)


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError as error:
        remedy = f"useradd --system --user-group --no-create-home {shlex.quote(name)}, or name another"
        raise ConfigError(f"there is no user {name!r}", setting="--user", remedy=remedy) from error


def _default_user(found: os.stat_result | None) -> pwd.struct_passwd:
    owner = os.geteuid() if found is None or os.geteuid() != 0 else found.st_uid
    try:
        return pwd.getpwuid(owner) if owner != 0 else pwd.getpwnam(SERVICE_USER)
    except KeyError as error:
        makes = f"useradd --system --user-group --no-create-home {SERVICE_USER}"
        told = f"name the user the worker is to run as, as --user git, or make one: {makes}"
        raise ConfigError("whose is it to be?", setting="--user", remedy=told) from error


def _group(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError as error:
        remedy = f"groupadd {shlex.quote(name)}, or name another"
        raise ConfigError(f"there is no group {name!r}", setting="--group", remedy=remedy) from error


# ------------------------------------------------------------------------------------------------------------ what is left


def _warnings(plan: Plan) -> list[str]:
    """The folders above that keep the pushers out."""
    if plan.pushers_gid is None:
        return []
    told = []
    for folder in Path(plan.state_dir).parents:
        found = folder.stat()
        passing = stat.S_IXGRP if found.st_gid == plan.pushers_gid else stat.S_IXOTH
        if not found.st_mode & passing:
            told.append(f"{group_of(plan.pushers_gid)} may not pass {folder}: chmod o+x {shlex.quote(str(folder))}")
    return told


def _next(plan: Plan) -> list[str]:
    """What is left to do, a line each."""
    place, user = shlex.quote(plan.state_dir), plan.worker.pw_name
    steps = []
    if plan.state_dir not in (statedir.SYSTEM_DIR, state.machine_settings().state_dir):
        steps.append(f"git config --system oberon.stateDir {place}")
        steps.append(f"in Mercurial's /etc/mercurial/hgrc, under [oberon]: stateDir = {plan.state_dir}")
    if plan.pushers_gid is not None:
        group = group_of(plan.pushers_gid)
        steps.append(f"put each pusher into the group: usermod --append --groups {group} USER")
        steps.append(f"see to it that {user} may read the repositories; being in {group} too does no harm")
        steps.append(f"oberon run --print-unit --state-dir {place} > /etc/systemd/system/{SERVICE}")
        steps.append(f"run the worker as a service, with User={user}: systemctl enable --now {SERVICE}")
        if _runs(plan.state_dir):
            steps.append("the worker that runs now is to be restarted: it makes its socket anew")
    steps.append(f"oberon doctor --state-dir {place}")
    return steps


def _runs(state_dir: str) -> bool:
    try:
        return record.worker_runs(state_dir)
    except PermissionError:
        return False
