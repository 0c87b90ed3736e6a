-- From version 1: the progress of readings.

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
