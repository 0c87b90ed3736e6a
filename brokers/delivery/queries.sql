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
    WHERE state IN ('waiting', 'leased') AND ((state = 'waiting' AND next_at <= :now) OR (state = 'leased' AND lease_until < :now))
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

-- name: end_event_leases
-- Of workers that were killed; the trigger reading_ended takes away what they had noted.
UPDATE event SET
    state = 'waiting', lease = NULL, lease_until = NULL, next_at = :now + :wait_s * interrupted, interrupted = interrupted + 1
WHERE state = 'leased' AND lease GLOB :leases;

-- name: has_earlier
-- Whether an ordered delivery has a push before it that is unread or unfinished; next_in_line asks the same. Alerts have sequence 0.
SELECT 1 FROM delivery
WHERE repository = :repository AND service = :service AND sequence < :sequence AND ordered = 1 AND state IN ('waiting', 'leased')
UNION ALL
SELECT 1 FROM event WHERE repository = :repository AND sequence < :sequence AND sequence > 0 AND state IN ('waiting', 'leased')
LIMIT 1;

-- name: add_delivery
-- Held back if its service is switched off, and until the next try if the breaker of its endpoint is open.
INSERT OR IGNORE INTO delivery
    (event, repository, sequence, service, broker, endpoint, ordered, state, attempts, next_at, lease, lease_until, reason,
     created_at, finished_at, expires_at, held)
VALUES
    (:event, :repository, :sequence, :service, :broker, :endpoint, :ordered, :state, :attempts,
     max(:now, coalesce((SELECT open_until FROM breaker WHERE breaker.endpoint = :endpoint), 0)), :lease, :until, :reason,
     :now, :finished_at, :expires_at,
     EXISTS (SELECT 1 FROM service WHERE name = :service AND service.repository IN (:repository, '') AND disabled_at IS NOT NULL));

-- name: held_back
-- Why a delivery to an endpoint is not to be tried at once; no row if it is.
SELECT 'disabled' AS why FROM service WHERE name = :service AND repository IN (:repository, '') AND disabled_at IS NOT NULL
UNION ALL
SELECT 'parked' FROM breaker WHERE endpoint = :endpoint AND open_until IS NOT NULL
LIMIT 1;

-- name: shares
-- The endpoints of which anything is known, in one row: [[endpoint, under lease, most, probes], ...]. `most` is how many the breaker
-- lets through at once: one when it is time for that, which `probes`; none while it is open; null: as many as any other may have.
WITH busy (endpoint, n) AS (
    SELECT endpoint, count(*) FROM delivery WHERE state = 'leased' AND lease_until >= :now AND endpoint != '' GROUP BY endpoint
)
SELECT json_group_array(json_array(endpoint, n, most, probes)) AS shares FROM (
    SELECT endpoint, n, NULL AS most, 0 AS probes FROM busy WHERE endpoint NOT IN (SELECT endpoint FROM breaker)
    UNION ALL
    SELECT endpoint, coalesce(n, 0), CASE
        WHEN open_until > :now THEN 0
        WHEN open_until IS NOT NULL THEN 1
        WHEN failures = 0 THEN :draining
        END, open_until IS NOT NULL
    FROM breaker LEFT JOIN busy USING (endpoint));

-- name: due_deliveries
-- Of each endpoint but the `full` those that have been due longest, in one row: [[next_at, id, endpoint, suspect], ...], in no order.
-- CROSS JOIN keeps the endpoints first.
SELECT json_group_array(json_array(next_at, first.id, first.endpoint, interrupted)) AS due
FROM waited_for CROSS JOIN delivery AS first ON first.id IN (
    SELECT id FROM delivery INDEXED BY delivery_due
    WHERE state = 'waiting' AND held = 0 AND ordered = 0 AND endpoint = waited_for.endpoint AND next_at <= :now
    ORDER BY next_at, id LIMIT :most)
WHERE waited_for.endpoint NOT IN (SELECT value FROM json_each(:full));

-- name: due_in_line
-- Likewise, the ordered deliveries whose turn it is, and those whose lease ran out; `suspect`: a worker was killed with it.
SELECT json_group_array(json_array(next_at, id, endpoint, interrupted OR state = 'leased')) AS due FROM (
    SELECT id, endpoint, state, interrupted, next_at FROM delivery
    WHERE state = 'leased' AND lease_until < :now AND ordered = 0
      AND held = 0 AND next_at <= :now AND endpoint NOT IN (SELECT value FROM json_each(:full))
    UNION ALL
    SELECT id, endpoint, state, interrupted, next_at FROM delivery
    WHERE id IN (SELECT id FROM next_in_line) AND (state = 'waiting' OR lease_until < :now)
      AND held = 0 AND next_at <= :now AND endpoint NOT IN (SELECT value FROM json_each(:full)));

-- name: count_fitting
-- Of the deliveries `ids` how many, from the first, have payloads of :chars together. To know how long one is, is to read it: so no
-- more are than that.
WITH RECURSIVE fitting (n, chars) AS (
    SELECT 0, 0
    UNION ALL
    SELECT n + 1, chars + (
        SELECT length(payload) FROM delivery JOIN event ON event.id = delivery.event
        WHERE delivery.id = json_extract(:ids, '$[' || n || ']'))
    FROM fitting WHERE n < json_array_length(:ids) AND chars <= :chars)
SELECT max(n) AS n FROM fitting WHERE chars <= :chars;

-- name: claim_deliveries
-- `ids` is a list of numbers. Each gets a lease of its own.
UPDATE delivery SET
    state = 'leased', lease = :lease || '-' || id, lease_until = :until, attempts = attempts + 1,
    interrupted = interrupted + (state = 'leased')
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: claimed_deliveries
-- Of `ids`, in no order, in one row: a line each, and in it, between tabs, which JSON writes as escapes, the columns of the delivery,
-- the event's record and its payload.
SELECT group_concat(
    json_object(
        'id', delivery.id, 'event', event, 'service', service, 'endpoint', endpoint, 'attempts', delivery.attempts,
        'interrupted', delivery.interrupted, 'schedule_from', schedule_from, 'repeats', repeats,
        'created_at', delivery.created_at, 'lease', delivery.lease)
    || char(9) || record || char(9) || payload, char(10)) AS lines
FROM delivery JOIN event ON event.id = delivery.event WHERE delivery.id IN (SELECT value FROM json_each(:ids));

-- name: add_attempts
-- `attempts` is [[delivery, number, started_at, duration_s, outcome, reason, details], ...], of which the last is an object. Recorded
-- even when the lease was lost: they did happen.
INSERT OR REPLACE INTO attempt (delivery, number, started_at, duration_s, outcome, reason, details)
SELECT
    delivery.id, json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),
    json_extract(value, '$[4]'), json_extract(value, '$[5]'), json_extract(value, '$[6]')
FROM json_each(:attempts) JOIN delivery ON delivery.id = json_extract(value, '$[0]');

-- name: held_deliveries
-- Of `ended`, [[id, lease, ...], ...], those whose lease holds, in one row: [[id, in trouble], ...]. In trouble: something is held
-- against the endpoint or the service.
SELECT json_group_array(json_array(delivery.id,
    endpoint IN (SELECT endpoint FROM breaker) OR EXISTS (
        SELECT 1 FROM service
        WHERE service.repository = delivery.repository AND name = delivery.service AND failing_since IS NOT NULL))) AS held
FROM json_each(:ended) AS given JOIN delivery ON delivery.id = json_extract(given.value, '$[0]')
WHERE lease = json_extract(given.value, '$[1]') AND state = 'leased';

-- name: finish_deliveries
-- `ended` is [[id, lease, state, reason, note, next_at], ...]. Those whose lease was lost stay as they are.
UPDATE delivery SET
    state = ended.state, reason = ended.reason, note = ended.note, next_at = coalesce(ended.next_at, delivery.next_at),
    lease = NULL, lease_until = NULL, interrupted = 0, finished_at = CASE ended.state WHEN 'waiting' THEN NULL ELSE :now END
FROM (
    SELECT
        json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS lease, json_extract(value, '$[2]') AS state,
        json_extract(value, '$[3]') AS reason, json_extract(value, '$[4]') AS note, json_extract(value, '$[5]') AS next_at
    FROM json_each(:ended)) AS ended
WHERE delivery.id = ended.id AND delivery.lease = ended.lease AND delivery.state = 'leased';

-- name: release_event
UPDATE event SET state = 'waiting', attempts = attempts - 1, lease = NULL, lease_until = NULL
WHERE lease = :lease AND state = 'leased';

-- name: release_delivery
UPDATE delivery SET state = 'waiting', attempts = attempts - 1, lease = NULL, lease_until = NULL
WHERE lease = :lease AND state = 'leased';

-- name: end_delivery_leases
UPDATE delivery SET
    state = 'waiting', lease = NULL, lease_until = NULL, next_at = :now + :wait_s * interrupted, interrupted = interrupted + 1
WHERE state = 'leased' AND lease GLOB :leases;

-- name: park_again
-- If the breaker of its endpoint was opened meanwhile.
UPDATE delivery SET next_at = breaker.open_until FROM breaker
WHERE delivery.id = :id AND breaker.endpoint = delivery.endpoint AND breaker.open_until > max(:now, delivery.next_at);

-- name: park_all_again
-- What became due while the breaker of its endpoint is open.
UPDATE delivery SET next_at = (SELECT open_until FROM breaker WHERE breaker.endpoint = delivery.endpoint)
WHERE state = 'waiting' AND endpoint IN (SELECT endpoint FROM breaker WHERE open_until > :now)
  AND next_at < (SELECT open_until FROM breaker WHERE breaker.endpoint = delivery.endpoint);

-- name: renew_event
UPDATE event SET lease_until = :until WHERE lease = :lease AND state = 'leased';

-- name: renew_delivery
UPDATE delivery SET lease_until = :until WHERE lease = :lease AND state = 'leased';

-- name: redeliver
-- Replaces a retry that waits; refused while a live lease is on it.
UPDATE delivery SET
    state = 'waiting', next_at = :now, repeats = repeats + 1, schedule_from = attempts, created_at = :now,
    finished_at = NULL, lease = NULL, lease_until = NULL, expires_at = expires_at - created_at + :now,
    held = EXISTS (
        SELECT 1 FROM service
        WHERE name = delivery.service AND service.repository IN (delivery.repository, '') AND disabled_at IS NOT NULL)
WHERE id = :id AND (state != 'leased' OR lease_until < :now);

-- name: probe_now
UPDATE breaker SET open_until = :now WHERE open_until > :now AND endpoint = (SELECT endpoint FROM delivery WHERE id = :id);

-- name: reread
UPDATE event SET state = 'waiting', next_at = :now, attempts = 0 WHERE id = :id AND state IN ('dead', 'waiting');

-- name: prune
-- What ended, delivered or skipped, long enough ago; the dead stay.
DELETE FROM event WHERE id IN (
    SELECT id FROM event
    WHERE state = 'read' AND created_at < :before AND NOT EXISTS (
        SELECT 1 FROM delivery
        WHERE delivery.event = event.id AND (delivery.state NOT IN ('delivered', 'skipped') OR delivery.finished_at >= :before))
    ORDER BY created_at LIMIT :most);

-- name: count_prunable
-- As prune chooses them.
SELECT count(*) AS n FROM event
WHERE state = 'read' AND created_at < :before AND NOT EXISTS (
    SELECT 1 FROM delivery
    WHERE delivery.event = event.id AND (delivery.state NOT IN ('delivered', 'skipped') OR delivery.finished_at >= :before));

-- name: forget_delivery
DELETE FROM delivery WHERE id = :id AND state IN ('delivered', 'skipped', 'dead') RETURNING event;

-- name: forget_bare_push
DELETE FROM event WHERE id = :event AND state = 'read' AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.event = :event);

-- name: forget_push
DELETE FROM event WHERE id = :event AND state IN ('read', 'dead') AND NOT EXISTS (
    SELECT 1 FROM delivery WHERE delivery.event = :event AND delivery.state IN ('waiting', 'leased'));

-- name: mend_events
-- What no schedule gives was set by another clock. What is under lease was due when it was claimed.
UPDATE event SET next_at = min(next_at, :now), lease_until = CASE WHEN lease_until > :longest THEN :left ELSE lease_until END
WHERE state IN ('waiting', 'leased')
    AND ((state = 'waiting' AND next_at > :latest) OR (state = 'leased' AND (lease_until > :longest OR next_at > :now)));

-- name: mend_deliveries
UPDATE delivery SET next_at = min(next_at, :now), lease_until = CASE WHEN lease_until > :longest THEN :left ELSE lease_until END
WHERE id IN (
    SELECT id FROM delivery WHERE state = 'leased' AND (lease_until > :longest OR next_at > :now)
    UNION ALL
    SELECT id FROM delivery WHERE state = 'waiting' AND next_at > :latest
    UNION ALL
    SELECT id FROM delivery
    WHERE state = 'waiting' AND next_at > :now AND endpoint IN (SELECT endpoint FROM breaker WHERE open_until > :longest));

-- name: mend_breakers
UPDATE breaker SET open_until = :now WHERE open_until > :longest;

-- name: take_over_sequence
-- From an outbox that was set aside.
INSERT INTO repository (path, sequence) VALUES (:path, :sequence)
ON CONFLICT (path) DO UPDATE SET sequence = max(sequence, :sequence);

-- name: take_over_service
INSERT OR IGNORE INTO service (repository, name, failing_since, disabled_at, disabled_by, disabled_why, alerted_at)
VALUES (:repository, :name, :failing_since, :disabled_at, :disabled_by, :disabled_why, :alerted_at);

-- name: next_due
-- When the first of what waits is due. Neither deliveries of services that are switched off are, nor ordered ones that have
-- not their turn, whatever their time says. Each row is the first of its index that will do.
SELECT min(due) AS due FROM (
    SELECT min(CASE state WHEN 'leased' THEN lease_until ELSE next_at END) AS due FROM event WHERE state IN ('waiting', 'leased')
    UNION ALL
    SELECT min(max(lease_until, coalesce((SELECT open_until FROM breaker WHERE breaker.endpoint = delivery.endpoint), 0)))
    FROM delivery WHERE state = 'leased' AND held = 0
    UNION ALL
    SELECT min((
        SELECT min(next_at) FROM delivery INDEXED BY delivery_due
        WHERE state = 'waiting' AND held = 0 AND ordered = 0 AND endpoint = waited_for.endpoint))
    FROM waited_for
    UNION ALL
    SELECT next_at FROM delivery WHERE id IN (SELECT id FROM next_in_line) AND held = 0 AND state = 'waiting');

-- name: count_due
-- How many pushes and deliveries are due, ordered ones that wait for their turn among them.
SELECT
    (SELECT count(*) FROM event
     WHERE state IN ('waiting', 'leased') AND ((state = 'waiting' AND next_at <= :now) OR (state = 'leased' AND lease_until < :now)))
    + (SELECT count(*) FROM delivery WHERE state = 'waiting' AND held = 0 AND next_at <= :now)
    + (SELECT count(*) FROM delivery WHERE state = 'leased' AND held = 0 AND lease_until < :now)
    AS n;

-- name: count_waiting
-- Of services that are on; those under way too.
SELECT count(*) AS n FROM delivery WHERE state IN ('waiting', 'leased') AND held = 0;

-- name: count_deliveries
-- By the state that is shown.
SELECT shown.state, count(*) AS n, min(created_at) AS oldest FROM delivery JOIN shown USING (id) GROUP BY shown.state;

-- name: count_events
-- What has the number 0 and is read was no push: an alert, or what is only known.
SELECT state, count(*) AS n, min(created_at) AS oldest FROM event WHERE sequence > 0 OR state != 'read' GROUP BY state;

-- name: last_failures
-- The newest delivery of each service that failed and is not delivered since.
SELECT repository, service, shown.state AS state, reason, max(delivery.id) AS id FROM delivery JOIN shown USING (id)
WHERE reason != '' AND delivery.state IN ('waiting', 'leased', 'dead')
GROUP BY repository, service ORDER BY repository, service;

-- name: list_deliveries
-- Newest first, by the state that is shown; a parameter that is NULL leaves its condition out.
SELECT shown.state AS state, delivery.* FROM delivery JOIN shown USING (id)
WHERE (:repository IS NULL OR delivery.repository = :repository)
  AND (:service IS NULL OR delivery.service = :service)
  AND (:state IS NULL OR shown.state = :state)
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
SELECT shown.state AS state, delivery.*, event.record, event.payload
FROM delivery JOIN shown USING (id) JOIN event ON event.id = delivery.event
WHERE delivery.id = :id;

-- name: show_event
SELECT * FROM event WHERE id = :id;

-- name: deliveries_of
SELECT * FROM delivery WHERE event = :id ORDER BY id;

-- name: attempts_of
SELECT * FROM attempt WHERE delivery = :id ORDER BY number;

-- name: last_push
-- The newest push of a repository that was read, and no alert.
SELECT record, sequence, payload FROM event
WHERE repository = :repository AND payload IS NOT NULL AND sequence > 0 ORDER BY sequence DESC LIMIT 1;

-- name: ended_since
-- What ended at or after a time, and what still waits.
SELECT state, count(*) AS n FROM delivery WHERE finished_at IS NULL OR finished_at >= :since GROUP BY state;

-- name: service_names
-- attempt_total knows those whose deliveries were pruned.
SELECT service AS name FROM delivery WHERE :repository IS NULL OR repository = :repository
UNION SELECT service FROM attempt_total WHERE :repository IS NULL OR repository = :repository
UNION SELECT name FROM service WHERE name != '' AND (:repository IS NULL OR repository IN (:repository, ''))
ORDER BY name;

-- name: tally_pushes
-- For `oberon metrics`, like the next two; where it is not asked per repository, `repository` is ''.
SELECT CASE WHEN :per_repository THEN path ELSE '' END AS repository, sum(sequence) AS n FROM repository GROUP BY 1;

-- name: tally_attempts
SELECT
    CASE WHEN :per_repository THEN repository ELSE '' END AS repository, service, broker, outcome,
    sum(attempts) AS attempts, sum(duration_s) AS duration_s, max(last_at) AS last_at
FROM attempt_total GROUP BY 1, 2, 3, 4;

-- name: disabled_services
SELECT repository, name, disabled_at, disabled_by, disabled_why FROM service WHERE disabled_at IS NOT NULL ORDER BY name, repository;

-- name: list_breakers
SELECT endpoint, failures, since, open_until, probes,
    (SELECT count(*) FROM delivery WHERE delivery.endpoint = breaker.endpoint AND state = 'waiting' AND held = 0) AS waiting
FROM breaker ORDER BY endpoint;

-- name: tally_deliveries
SELECT
    CASE WHEN :per_repository THEN repository ELSE '' END AS repository, service, broker, shown.state AS state, count(*) AS n
FROM delivery JOIN shown USING (id) GROUP BY 1, 2, 3, 4;

-- name: note_event
-- What nobody is to be told of, but counts: it is kept as long as a push that is read, so that it is entered once.
INSERT INTO event (id, repository, sequence, record, state, next_at, created_at)
VALUES (:id, :repository, 0, :record, 'read', :now, :now);

-- name: know_repository
INSERT OR IGNORE INTO repository (path, sequence) VALUES (:path, 0);

-- name: events_since
-- As events_after, for a push that is entered late.
SELECT record FROM event WHERE repository = :repository AND created_at >= :time ORDER BY sequence LIMIT :most;

-- name: baseline_of
SELECT refs, record FROM baseline WHERE repository = :repository;

-- name: begin_refs
-- `places` is [[ref, node], ...], `known` a list of beginnings. Refs that have rows stay as they are.
INSERT OR IGNORE INTO ref_state (repository, ref, node, balance, guessed, since)
SELECT :repository, ref, CASE WHEN known THEN :none ELSE node END, 1, NOT known, CASE WHEN known THEN NULL ELSE :time END
FROM (
    SELECT
        json_extract(place.value, '$[0]') AS ref, json_extract(place.value, '$[1]') AS node,
        EXISTS (
            SELECT 1 FROM json_each(:known) AS beginning
            WHERE substr(json_extract(place.value, '$[0]'), 1, length(beginning.value)) = beginning.value) AS known
    FROM json_each(:places) AS place) AS heard_of
WHERE NOT EXISTS (SELECT 1 FROM ref_state WHERE ref_state.repository = :repository AND ref_state.ref = heard_of.ref);

-- name: add_balances
-- `balances` is [[ref, node, balance], ...].
INSERT INTO ref_state (repository, ref, node, balance)
SELECT
    :repository, json_extract(value, '$[0]') AS moved, json_extract(value, '$[1]') AS place, sum(json_extract(value, '$[2]'))
FROM json_each(:balances) WHERE true GROUP BY moved, place
ON CONFLICT (repository, ref, node) DO UPDATE SET balance = balance + excluded.balance;

-- name: early_refs
-- Of those in `refs`, the ones whose first known push was not, or perhaps not, before the one of `time`.
SELECT ref, node, since FROM ref_state
WHERE repository = :repository AND ref IN (SELECT value FROM json_each(:refs)) AND since >= :time - :skew_s AND since <> :time
  AND (since > :time OR :most > (
    SELECT count(*) FROM ref_state AS other
    WHERE other.repository = ref_state.repository AND other.ref = ref_state.ref AND other.guessed));

-- name: unstart_ref
UPDATE ref_state SET balance = balance - 1, guessed = :guessed, since = NULL WHERE repository = :repository AND ref = :ref AND node = :node;

-- name: start_ref
INSERT INTO ref_state (repository, ref, node, balance, guessed, since) VALUES (:repository, :ref, :node, 1, 1, :time)
ON CONFLICT (repository, ref, node) DO UPDATE SET balance = balance + 1, guessed = 1, since = excluded.since;

-- name: guess_ref
INSERT INTO ref_state (repository, ref, node, balance, guessed) VALUES (:repository, :ref, :node, 0, 1)
ON CONFLICT (repository, ref, node) DO UPDATE SET guessed = 1;

-- name: tidy_refs
DELETE FROM ref_state
WHERE repository = :repository AND balance = 0 AND NOT guessed AND ref IN (SELECT value FROM json_each(:refs));

-- name: settle_starts
-- Where refs began that were first heard of before :before is no guess any more.
UPDATE ref_state SET guessed = 0, since = NULL
WHERE repository = :repository AND (guessed OR since IS NOT NULL) AND EXISTS (
    SELECT 1 FROM ref_state AS began
    WHERE began.repository = ref_state.repository AND began.ref = ref_state.ref AND began.since < :before);

-- name: tidy_repository
-- Rows that say nothing, and of refs that are not there all: of those that begin as `known`, no row means the same.
DELETE FROM ref_state
WHERE repository = :repository AND NOT guessed AND since IS NULL AND (balance = 0 OR (
    balance = 1 AND node = :none
    AND EXISTS (SELECT 1 FROM json_each(:known) AS beginning WHERE substr(ref, 1, length(beginning.value)) = beginning.value)
    AND NOT EXISTS (
        SELECT 1 FROM ref_state AS other
        WHERE other.repository = ref_state.repository AND other.ref = ref_state.ref AND other.node <> :none)));

-- name: drop_refs
DELETE FROM ref_state WHERE repository = :repository AND ref IN (SELECT value FROM json_each(:refs));

-- name: ref_rows
SELECT ref, node, balance, guessed, since FROM ref_state WHERE repository = :repository;

-- name: set_baseline
INSERT OR REPLACE INTO baseline (repository, refs, record) VALUES (:repository, :refs, :record);

-- name: add_changegroup
INSERT OR IGNORE INTO changegroup (repository, first, last) VALUES (:repository, :first, :last);

-- name: drop_changegroup
DELETE FROM changegroup WHERE repository = :repository AND first = :first AND last = :last;

-- name: changelog_of
SELECT length, tip FROM changelog WHERE repository = :repository;

-- name: set_changelog
INSERT OR REPLACE INTO changelog (repository, length, tip) VALUES (:repository, :length, :tip);

-- name: changegroups_of
SELECT first, last FROM changegroup WHERE repository = :repository;

-- name: known_repositories
SELECT path FROM repository UNION SELECT repository FROM baseline ORDER BY 1;

-- name: newest_event
-- No alert.
SELECT record FROM event WHERE repository = :repository AND json_extract(record, '$.alert') IS NULL ORDER BY sequence DESC LIMIT 1;

-- name: newest_events
SELECT record FROM event WHERE repository = :repository ORDER BY sequence DESC LIMIT :most;

-- name: sequence_of
SELECT sequence FROM repository WHERE path = :repository;

-- name: note_endpoint_down
INSERT INTO breaker (endpoint, failures, since) VALUES (:endpoint, 1, :now)
ON CONFLICT (endpoint) DO UPDATE SET failures = failures + 1, since = CASE failures WHEN 0 THEN :now ELSE since END
RETURNING failures, open_until, probes;

-- name: open_breaker
UPDATE breaker SET open_until = :until WHERE endpoint = :endpoint;

-- name: begin_probe
-- From a delivery that was claimed although the breaker is open; no row if it is closed.
UPDATE breaker SET probes = probes + 1 WHERE endpoint = :endpoint AND open_until IS NOT NULL RETURNING probes;

-- name: park
UPDATE delivery SET next_at = :until WHERE endpoint = :endpoint AND state = 'waiting' AND next_at < :until;

-- name: note_endpoint_up
-- The breaker as it was; no row if nothing was against the endpoint.
SELECT failures, open_until FROM breaker WHERE endpoint = :endpoint;

-- name: close_breaker
UPDATE breaker SET failures = 0, since = :now, open_until = NULL, probes = 0 WHERE endpoint = :endpoint;

-- name: let_go
-- What was parked until then.
UPDATE delivery SET next_at = :now WHERE endpoint = :endpoint AND state = 'waiting' AND next_at > :now AND next_at <= :until;

-- name: forget_breaker
-- Unless what waited for the endpoint is not drained yet.
DELETE FROM breaker WHERE endpoint = :endpoint AND open_until IS NULL AND NOT EXISTS (
    SELECT 1 FROM delivery
    WHERE delivery.endpoint = breaker.endpoint AND state = 'waiting' AND next_at <= :now
      AND breaker.failures = 0 AND delivery.created_at < breaker.since);

-- name: note_service_up
UPDATE service SET failing_since = NULL WHERE repository = :repository AND name = :service AND failing_since IS NOT NULL;

-- name: note_service_down
-- Failures further apart than :apart are two troubles, of a service that is seldom pushed to.
INSERT INTO service (repository, name, failing_since, failed_at) VALUES (:repository, :service, :now, :now)
ON CONFLICT (repository, name) DO UPDATE SET
    failing_since = CASE WHEN failed_at > :now - :apart THEN coalesce(failing_since, :now) ELSE :now END, failed_at = :now
RETURNING failing_since, disabled_at;

-- name: disable
INSERT INTO service (repository, name, disabled_at, disabled_by, disabled_why) VALUES (:repository, :service, :now, :by, :why)
ON CONFLICT (repository, name) DO UPDATE SET disabled_at = :now, disabled_by = :by, disabled_why = :why;

-- name: enable
-- For all repositories where `repository` is ''.
UPDATE service SET disabled_at = NULL, disabled_by = '', disabled_why = '', failing_since = NULL
WHERE name = :service AND (:repository = '' OR repository = :repository);

-- name: hold_back
-- As `service` says now. What is let go is due.
UPDATE delivery SET held = 1 - held, next_at = CASE WHEN held THEN min(next_at, :now) ELSE next_at END
WHERE service = :service AND (:repository = '' OR repository = :repository) AND state IN ('waiting', 'leased')
  AND held != EXISTS (
    SELECT 1 FROM service
    WHERE name = delivery.service AND service.repository IN (delivery.repository, '') AND disabled_at IS NOT NULL)
RETURNING id, endpoint;

-- name: switched_off
-- The leases on deliveries whose service was switched off since they were claimed.
SELECT lease FROM delivery WHERE state = 'leased' AND held = 1;

-- name: give_up_waiting
UPDATE delivery SET state = 'dead', reason = :reason, finished_at = :now
WHERE repository = :repository AND service = :service AND state = 'waiting';

-- name: expire
UPDATE delivery SET
    state = 'dead', finished_at = :now,
    reason = 'given up: older than maxAge' || CASE reason WHEN '' THEN '' ELSE '; last: ' || reason END
WHERE state = 'waiting' AND expires_at < :now
RETURNING event, repository, service, reason;

-- name: alerted_at
SELECT alerted_at FROM service WHERE repository = :repository AND name = :service;

-- name: note_alert
INSERT INTO service (repository, name, alerted_at) VALUES (:repository, :service, :now)
ON CONFLICT (repository, name) DO UPDATE SET alerted_at = :now;

-- name: count_dead_since
SELECT count(*) AS n FROM delivery
WHERE repository = :repository AND service = :service AND state = 'dead' AND finished_at > :since;

-- name: place_of
SELECT record FROM event WHERE id = :id;

-- name: want_alerts
INSERT OR IGNORE INTO alerting (repository) VALUES (:repository);

-- name: want_no_alerts
DELETE FROM alerting WHERE repository = :repository;

-- name: wants_alerts
SELECT 1 FROM alerting WHERE repository = :repository;
