-- From version 3: of the ordered deliveries of a service just the first is looked at, of those for one endpoint the first few.

DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (endpoint, next_at, id) WHERE state = 'waiting' AND held = 0 AND ordered = 0;
CREATE INDEX delivery_line ON delivery (repository, service, sequence) WHERE ordered = 1 AND state IN ('waiting', 'leased');
CREATE INDEX event_unread ON event (repository, sequence) WHERE state IN ('waiting', 'leased');

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
