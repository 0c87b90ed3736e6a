-- The outbox's statements, each under its name. `brokers.delivery.outbox` runs them; times are Unix seconds.

-- name: has_event
SELECT 1 FROM event WHERE id = :id;

-- name: count_up
-- The next sequence number of a repository.
INSERT INTO repository (path, sequence) VALUES (:path, 1)
ON CONFLICT (path) DO UPDATE SET sequence = sequence + 1
RETURNING sequence;

-- name: add_event
INSERT INTO event (id, repository, sequence, record, only, state, attempts, next_at, lease, lease_until, created_at)
VALUES (:id, :repository, :sequence, :record, :only, :state, :attempts, :now, :lease, :until, :now);

-- name: claim_event
UPDATE event SET
    state = 'leased', lease = :lease, lease_until = :until, attempts = attempts + 1, interrupted = interrupted + (state = 'leased')
WHERE id = (
    SELECT id FROM event
    WHERE (state = 'waiting' AND next_at <= :now) OR (state = 'leased' AND lease_until < :now)
    ORDER BY next_at, created_at, sequence LIMIT 1)
RETURNING record, sequence, only, attempts, interrupted, created_at;

-- name: events_after
SELECT record FROM event WHERE repository = :repository AND sequence > :sequence ORDER BY sequence LIMIT :most;

-- name: read_event
-- No row changes when the lease was lost.
UPDATE event SET state = 'read', payload = :payload, lease = NULL, lease_until = NULL, reason = '', interrupted = 0
WHERE id = :id AND lease = :lease AND state = 'leased';

-- name: fail_event
UPDATE event SET
    state = :state, reason = :reason, next_at = coalesce(:next_at, next_at), lease = NULL, lease_until = NULL, interrupted = 0
WHERE id = :id AND lease = :lease AND state = 'leased';

-- name: note_reading
-- No row changes when the lease was lost. The trigger reading_ended takes it away with the lease.
INSERT OR REPLACE INTO reading (event, started_at, commits_read, commits_total)
SELECT id, :started_at, :commits_read, :commits_total FROM event WHERE id = :event AND lease = :lease AND state = 'leased';

-- name: forget_readings
DELETE FROM reading;

-- name: has_earlier
-- Whether an ordered delivery has a push before it that is unread or unfinished; claim_delivery asks the same.
SELECT 1 FROM delivery
WHERE repository = :repository AND service = :service AND sequence < :sequence AND state IN ('waiting', 'leased')
UNION ALL
SELECT 1 FROM event WHERE repository = :repository AND sequence < :sequence AND state IN ('waiting', 'leased')
LIMIT 1;

-- name: add_delivery
INSERT OR IGNORE INTO delivery
    (event, repository, sequence, service, broker, endpoint, ordered, state, attempts, next_at, lease, lease_until, reason, created_at, finished_at)
VALUES
    (:event, :repository, :sequence, :service, :broker, :endpoint, :ordered, :state, :attempts, :now, :lease, :until, :reason, :now, :finished_at);

-- name: claim_delivery
-- Passed over: endpoints that have their share under lease already, and ordered deliveries behind a push that is unread or unfinished.
UPDATE delivery SET
    state = 'leased', lease = :lease, lease_until = :until, attempts = attempts + 1, interrupted = interrupted + (state = 'leased')
WHERE id = (
    SELECT due.id FROM delivery AS due
    WHERE ((due.state = 'waiting' AND due.next_at <= :now) OR (due.state = 'leased' AND due.lease_until < :now))
      AND (due.endpoint = '' OR :per_endpoint > (
            SELECT count(*) FROM delivery AS busy
            WHERE busy.endpoint = due.endpoint AND busy.state = 'leased' AND busy.lease_until >= :now))
      AND (NOT due.ordered OR NOT EXISTS (
            SELECT 1 FROM delivery AS earlier
            WHERE earlier.repository = due.repository AND earlier.service = due.service AND earlier.sequence < due.sequence
              AND earlier.state IN ('waiting', 'leased')
            UNION ALL
            SELECT 1 FROM event AS unread
            WHERE unread.repository = due.repository AND unread.sequence < due.sequence
              AND unread.state IN ('waiting', 'leased')))
    ORDER BY due.next_at, due.id LIMIT 1)
RETURNING id, event, service, endpoint, attempts, interrupted, schedule_from, repeats, created_at;

-- name: event_of
SELECT record, payload FROM event WHERE id = :id;

-- name: add_attempt
-- Recorded even when the lease was lost: it did happen.
INSERT OR REPLACE INTO attempt (delivery, number, started_at, duration_s, outcome, reason, details)
SELECT id, :number, :started_at, :duration_s, :outcome, :reason, :details FROM delivery WHERE id = :delivery;

-- name: finish_delivery
UPDATE delivery SET
    state = :state, reason = :reason, note = :note, next_at = coalesce(:next_at, next_at),
    lease = NULL, lease_until = NULL, interrupted = 0, finished_at = :finished_at
WHERE id = :id AND lease = :lease AND state = 'leased';

-- name: release_event
UPDATE event SET state = 'waiting', attempts = attempts - 1, lease = NULL, lease_until = NULL
WHERE lease = :lease AND state = 'leased';

-- name: release_delivery
UPDATE delivery SET state = 'waiting', attempts = attempts - 1, lease = NULL, lease_until = NULL
WHERE lease = :lease AND state = 'leased';

-- name: renew_event
UPDATE event SET lease_until = :until WHERE lease = :lease AND state = 'leased';

-- name: renew_delivery
UPDATE delivery SET lease_until = :until WHERE lease = :lease AND state = 'leased';

-- name: redeliver
-- Replaces a retry that waits; refused while a live lease is on it.
UPDATE delivery SET
    state = 'waiting', next_at = :now, repeats = repeats + 1, schedule_from = attempts, created_at = :now,
    finished_at = NULL, lease = NULL, lease_until = NULL
WHERE id = :id AND (state != 'leased' OR lease_until < :now);

-- name: reread
UPDATE event SET state = 'waiting', next_at = :now, attempts = 0 WHERE id = :id AND state IN ('dead', 'waiting');

-- name: prune
-- What is delivered or skipped and old enough; the dead stay.
DELETE FROM event
WHERE created_at < :before AND state = 'read'
  AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.event = event.id AND delivery.state NOT IN ('delivered', 'skipped'));

-- name: next_due
-- When the first of what waits is due. Ordered deliveries that claim_delivery passes over are not, whatever their time says.
SELECT min(due) AS due FROM (
    SELECT CASE state WHEN 'leased' THEN lease_until ELSE next_at END AS due FROM event WHERE state IN ('waiting', 'leased')
    UNION ALL
    SELECT CASE state WHEN 'leased' THEN lease_until ELSE next_at END FROM delivery AS late
    WHERE state IN ('waiting', 'leased') AND (NOT ordered OR NOT EXISTS (
        SELECT 1 FROM delivery AS earlier
        WHERE earlier.repository = late.repository AND earlier.service = late.service AND earlier.sequence < late.sequence
          AND earlier.state IN ('waiting', 'leased')
        UNION ALL
        SELECT 1 FROM event AS unread
        WHERE unread.repository = late.repository AND unread.sequence < late.sequence
          AND unread.state IN ('waiting', 'leased'))));

-- name: count_due
-- How many pushes and deliveries are due, ordered ones that wait for their turn among them.
SELECT
    (SELECT count(*) FROM event WHERE (state = 'waiting' AND next_at <= :now) OR (state = 'leased' AND lease_until < :now))
    + (SELECT count(*) FROM delivery WHERE (state = 'waiting' AND next_at <= :now) OR (state = 'leased' AND lease_until < :now))
    AS n;

-- name: count_deliveries
SELECT state, count(*) AS n, min(created_at) AS oldest FROM delivery GROUP BY state;

-- name: count_events
SELECT state, count(*) AS n, min(created_at) AS oldest FROM event GROUP BY state;

-- name: last_failures
-- The newest delivery of each service that failed and is not delivered since.
SELECT repository, service, state, reason, max(id) AS id FROM delivery
WHERE reason != '' AND state IN ('waiting', 'leased', 'dead')
GROUP BY repository, service ORDER BY repository, service;

-- name: list_deliveries
-- Newest first; a parameter that is NULL leaves its condition out.
SELECT delivery.*, event.repository AS event_repository FROM delivery JOIN event ON event.id = delivery.event
WHERE (:repository IS NULL OR delivery.repository = :repository)
  AND (:service IS NULL OR delivery.service = :service)
  AND (:state IS NULL OR delivery.state = :state)
  AND (NOT :failed OR (delivery.reason != '' AND delivery.state IN ('waiting', 'leased', 'dead')))
  AND (:since IS NULL OR delivery.created_at >= :since)
ORDER BY delivery.id DESC LIMIT :most;

-- name: list_unread
-- Events that are not read yet, or cannot be.
SELECT id, repository, sequence, state, attempts, next_at, reason, created_at FROM event WHERE state != 'read'
  AND (:repository IS NULL OR repository = :repository)
ORDER BY created_at DESC LIMIT :most;

-- name: list_readings
-- Under a lease that holds: a killed worker's is over soon.
SELECT event.repository, event.id AS event, reading.commits_read, reading.commits_total, reading.started_at
FROM reading JOIN event ON event.id = reading.event
WHERE event.state = 'leased' AND event.lease_until >= :now ORDER BY reading.started_at;

-- name: show_delivery
SELECT delivery.*, event.record, event.payload FROM delivery JOIN event ON event.id = delivery.event
WHERE delivery.id = :id;

-- name: show_event
SELECT * FROM event WHERE id = :id;

-- name: deliveries_of
SELECT * FROM delivery WHERE event = :id ORDER BY id;

-- name: attempts_of
SELECT * FROM attempt WHERE delivery = :id ORDER BY number;

-- name: last_push
-- The newest push of a repository that was read.
SELECT record, sequence, payload FROM event WHERE repository = :repository AND payload IS NOT NULL ORDER BY sequence DESC LIMIT 1;

-- name: ended_since
-- What ended at or after a time, and what still waits.
SELECT state, count(*) AS n FROM delivery WHERE finished_at IS NULL OR finished_at >= :since GROUP BY state;
