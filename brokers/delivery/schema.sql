-- The outbox, version 4. Times are Unix seconds; JSON columns hold text.

PRAGMA application_id = 0x4f62726e;  -- "Obrn"

-- How many pushes of a repository there have been; outlives the events.
CREATE TABLE repository (
    path      TEXT PRIMARY KEY,
    sequence  INTEGER NOT NULL
) WITHOUT ROWID;

-- One push. `record` is what the hook wrote, `payload` what reading the repository made of it.
CREATE TABLE event (
    id          TEXT PRIMARY KEY,
    repository  TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    record      TEXT NOT NULL,
    only        TEXT,                -- JSON list of services, when the hook has served the others already
    payload     TEXT,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'read', 'dead')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    interrupted INTEGER NOT NULL DEFAULT 0,  -- how often in a row its lease ran out: it, or one beside it, may kill the worker
    next_at     REAL NOT NULL,
    lease       TEXT,
    lease_until REAL,
    reason      TEXT NOT NULL DEFAULT '',
    created_at  REAL NOT NULL
) WITHOUT ROWID;

CREATE INDEX event_of ON event (repository, sequence);
CREATE INDEX event_due ON event (next_at) WHERE state IN ('waiting', 'leased');
CREATE INDEX event_unread ON event (repository, sequence) WHERE state IN ('waiting', 'leased');
CREATE INDEX event_age ON event (created_at) WHERE state = 'read';

-- How far the reading of a large push is, as its worker last noted it.
CREATE TABLE reading (
    event         TEXT PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
    started_at    REAL NOT NULL,
    commits_read  INTEGER NOT NULL,
    commits_total INTEGER              -- NULL before it is known
) WITHOUT ROWID;

-- Whatever ends the lease - read, failed, given back, taken over - ends the reading.
CREATE TRIGGER reading_ended AFTER UPDATE OF lease ON event WHEN new.lease IS NOT old.lease
BEGIN
    DELETE FROM reading WHERE event = old.id;
END;

-- One event for one service.
CREATE TABLE delivery (
    id          INTEGER PRIMARY KEY,
    event       TEXT NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    repository  TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    service     TEXT NOT NULL,
    broker      TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    ordered     INTEGER NOT NULL DEFAULT 0,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'delivered', 'dead', 'skipped')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    interrupted INTEGER NOT NULL DEFAULT 0,  -- likewise
    repeats     INTEGER NOT NULL DEFAULT 0,  -- how often it was sent again by hand
    schedule_from INTEGER NOT NULL DEFAULT 0, -- attempts before the last repeat: the schedule begins anew there
    next_at     REAL NOT NULL,
    lease       TEXT,
    lease_until REAL,
    reason      TEXT NOT NULL DEFAULT '',
    note        TEXT NOT NULL DEFAULT '',
    created_at  REAL NOT NULL,
    finished_at REAL,
    expires_at  REAL,                 -- too old to be tried from then on (maxAge); NULL: never
    held        INTEGER NOT NULL DEFAULT 0, -- 1: its service is switched off
    UNIQUE (event, service)
);

CREATE INDEX delivery_due ON delivery (endpoint, next_at, id) WHERE state = 'waiting' AND held = 0 AND ordered = 0;
CREATE INDEX delivery_line ON delivery (repository, service, sequence) WHERE ordered = 1 AND state IN ('waiting', 'leased');
CREATE INDEX delivery_of ON delivery (repository, service, sequence);
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE state = 'leased';
CREATE INDEX delivery_at ON delivery (endpoint, next_at) WHERE state = 'waiting';
CREATE INDEX delivery_expiry ON delivery (expires_at) WHERE state = 'waiting';

-- The endpoints ('' too) for which unordered deliveries wait. Each step is one search of the index, however many wait for one endpoint.
CREATE VIEW waited_for AS
WITH RECURSIVE place (endpoint) AS (
    SELECT min(endpoint) FROM delivery INDEXED BY delivery_due WHERE state = 'waiting' AND held = 0 AND ordered = 0
    UNION ALL
    SELECT (
        SELECT min(delivery.endpoint) FROM delivery INDEXED BY delivery_due
        WHERE state = 'waiting' AND held = 0 AND ordered = 0 AND delivery.endpoint > place.endpoint)
    FROM place WHERE place.endpoint IS NOT NULL
)
SELECT endpoint FROM place WHERE endpoint IS NOT NULL;

-- Of each service with unfinished ordered deliveries, in each repository, the first of them, if no push before it is unread. Each
-- step of `line` is one search of its index, however many wait behind.
CREATE VIEW next_in_line AS
WITH RECURSIVE line (id, repository, service, sequence) AS (
    SELECT * FROM (
        SELECT id, repository, service, sequence FROM delivery INDEXED BY delivery_line
        WHERE ordered = 1 AND state IN ('waiting', 'leased') ORDER BY repository, service, sequence LIMIT 1)
    UNION ALL
    SELECT delivery.id, delivery.repository, delivery.service, delivery.sequence FROM line JOIN delivery ON delivery.id = coalesce(
        (SELECT other.id FROM delivery AS other INDEXED BY delivery_line
         WHERE other.ordered = 1 AND other.state IN ('waiting', 'leased')
           AND other.repository = line.repository AND other.service > line.service
         ORDER BY other.service, other.sequence LIMIT 1),
        (SELECT other.id FROM delivery AS other INDEXED BY delivery_line
         WHERE other.ordered = 1 AND other.state IN ('waiting', 'leased') AND other.repository > line.repository
         ORDER BY other.repository, other.service, other.sequence LIMIT 1))
)
SELECT id FROM line WHERE NOT EXISTS (
    SELECT 1 FROM event INDEXED BY event_unread
    WHERE event.repository = line.repository AND event.sequence < line.sequence AND event.sequence > 0
      AND event.state IN ('waiting', 'leased'));

-- One call of a broker.
CREATE TABLE attempt (
    delivery   INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    started_at REAL NOT NULL,
    duration_s REAL NOT NULL,
    outcome    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    details    TEXT NOT NULL,  -- JSON: exchanges, traceback, what the broker printed
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

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

CREATE TRIGGER attempt_counted AFTER INSERT ON attempt
BEGIN
    INSERT INTO attempt_total (repository, service, broker, outcome, attempts, duration_s, last_at)
    SELECT repository, service, broker, new.outcome, 1, new.duration_s, new.started_at + new.duration_s
    FROM delivery WHERE id = new.delivery
    ON CONFLICT (repository, service, broker, outcome) DO UPDATE SET
        attempts = attempts + 1, duration_s = duration_s + excluded.duration_s, last_at = max(last_at, excluded.last_at);
END;
