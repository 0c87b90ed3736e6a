-- The outbox, version 2. Times are Unix seconds; JSON columns hold text.

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
    UNIQUE (event, service)
);

CREATE INDEX delivery_due ON delivery (next_at) WHERE state IN ('waiting', 'leased');
CREATE INDEX delivery_of ON delivery (repository, service, sequence);

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
