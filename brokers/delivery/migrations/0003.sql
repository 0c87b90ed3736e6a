-- From version 2: breakers, what became of each service, the states of the refs, when a delivery is too old.

ALTER TABLE delivery ADD COLUMN expires_at REAL;  -- too old to be tried from then on (maxAge); NULL: never
ALTER TABLE delivery ADD COLUMN held INTEGER NOT NULL DEFAULT 0;  -- 1: its service is switched off

DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (next_at, id) WHERE state IN ('waiting', 'leased') AND held = 0;
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE state = 'leased';
CREATE INDEX delivery_at ON delivery (endpoint, next_at) WHERE state = 'waiting';
CREATE INDEX delivery_expiry ON delivery (expires_at) WHERE state = 'waiting';
CREATE INDEX event_age ON event (created_at) WHERE state = 'read';

-- An endpoint that fails, or has come back; no row: nothing is known against it.
CREATE TABLE breaker (
    endpoint   TEXT PRIMARY KEY,
    failures   INTEGER NOT NULL,            -- in a row; 0: it is back, and what waited for it is drained
    since      REAL NOT NULL,               -- of the first of them, or when it came back
    open_until REAL,                        -- its deliveries are parked; from then on one is tried. NULL: closed
    probes     INTEGER NOT NULL DEFAULT 0   -- how many such tries there were since it was opened
) WITHOUT ROWID;

-- The repositories whose configuration names a service for alerts, as it was when a push was last read.
CREATE TABLE alerting (
    repository TEXT PRIMARY KEY
) WITHOUT ROWID;

-- The state as it is shown: of what waits, why it is not tried when it is due.
CREATE VIEW shown AS
SELECT delivery.id, CASE
    WHEN state = 'waiting' AND held THEN 'disabled'
    WHEN state = 'waiting' AND EXISTS (
        SELECT 1 FROM breaker WHERE breaker.endpoint = delivery.endpoint AND open_until IS NOT NULL) THEN 'parked'
    ELSE state
END AS state FROM delivery;

-- A service that fails, or is switched off. A row whose repository is '' stands for all.
CREATE TABLE service (
    repository    TEXT NOT NULL,
    name          TEXT NOT NULL,
    failing_since REAL,                     -- since then nothing has been delivered; NULL: it does not fail
    failed_at     REAL,                     -- when an attempt last failed
    disabled_at   REAL,                     -- NULL: it is on
    disabled_by   TEXT NOT NULL DEFAULT '', -- 'admin' or 'oberon'
    disabled_why  TEXT NOT NULL DEFAULT '',
    alerted_at    REAL,                     -- when an alert about it was last entered
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;

-- What the recorded pushes make of each ref: how often it was moved to `node`, less how often away from it. The one whose
-- balance is 1, all others being 0 (no row), is where it stands, in whatever order the pushes came in.
CREATE TABLE ref_state (
    repository TEXT NOT NULL,
    ref        TEXT NOT NULL,
    node       TEXT NOT NULL,               -- zeros: it is not there
    balance    INTEGER NOT NULL,
    guessed    INTEGER NOT NULL DEFAULT 0,  -- 1: where it may have stood when it was first heard of; kept even if its balance is 0
    since      REAL,                        -- the time of the first push known, of the one where it is taken to have stood; else NULL
    PRIMARY KEY (repository, ref, node)
) WITHOUT ROWID;

-- The changelog of a Mercurial repository as it was when it was last compared with what is recorded.
CREATE TABLE changelog (
    repository TEXT PRIMARY KEY,
    length     INTEGER NOT NULL,            -- number of changesets
    tip        TEXT NOT NULL                -- the last of them, 40 hex digits; '' if there is none
) WITHOUT ROWID;

-- The changegroups recorded since then, by the changesets at their ends.
CREATE TABLE changegroup (
    repository TEXT NOT NULL,
    first      TEXT NOT NULL,
    last       TEXT NOT NULL,
    PRIMARY KEY (repository, first, last)
) WITHOUT ROWID;

-- The repositories that were compared with what is recorded of them.
CREATE TABLE baseline (
    repository TEXT PRIMARY KEY,
    refs       TEXT NOT NULL,               -- how the refs begin that were, as in oberon.refs: such a one without a row is not
                                            -- there. '': what is recorded is not all, and the present is to be taken for known
    record     TEXT                         -- the last push known then: scm, path and environment outlive its event; NULL: none
) WITHOUT ROWID;

-- Attempts ever since the outbox was made: they outlive the record, so that what is counted never goes down.
CREATE TABLE attempt_total (
    repository TEXT NOT NULL,
    service    TEXT NOT NULL,
    broker     TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    duration_s REAL NOT NULL,               -- of all of them
    last_at    REAL NOT NULL,               -- when the last of them ended
    PRIMARY KEY (repository, service, broker, outcome)
) WITHOUT ROWID;

INSERT INTO attempt_total
SELECT repository, service, broker, outcome, count(*), total(duration_s), max(started_at + duration_s)
FROM attempt JOIN delivery ON delivery.id = attempt.delivery GROUP BY repository, service, broker, outcome;

CREATE TRIGGER attempt_counted AFTER INSERT ON attempt
BEGIN
    INSERT INTO attempt_total (repository, service, broker, outcome, attempts, duration_s, last_at)
    SELECT repository, service, broker, new.outcome, 1, new.duration_s, new.started_at + new.duration_s
    FROM delivery WHERE id = new.delivery
    ON CONFLICT (repository, service, broker, outcome) DO UPDATE SET
        attempts = attempts + 1, duration_s = duration_s + excluded.duration_s, last_at = max(last_at, excluded.last_at);
END;
