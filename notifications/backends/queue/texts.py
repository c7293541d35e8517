"""The texts of the queue's longer statements. `sql.py` executes them, and says whose clock they go by."""

from .planned import Planned

CHANNEL = "notifications_queue"  # of PostgreSQL's NOTIFY

# Distinct keys by one index probe each. `SELECT DISTINCT` would read the whole backlog.
KEYS = """
WITH RECURSIVE keys(key) AS (
    SELECT min(key) FROM django_q_ormq
    UNION ALL
    SELECT (SELECT min(q.key) FROM django_q_ormq q WHERE q.key > keys.key) FROM keys WHERE keys.key IS NOT NULL
) SELECT key FROM keys WHERE key IS NOT NULL
"""
# Each row of one statement gets its own microsecond, so that first in is first out.
PG_INSERT = """
WITH entry AS (
    INSERT INTO django_q_ormq (key, payload, lock)
    SELECT key, payload, COALESCE(lock, statement_timestamp() - (%s - place) * interval '1 microsecond')
    FROM ROWS FROM (json_to_recordset(%s::json) AS (key text, payload text, lock timestamptz))
        WITH ORDINALITY AS entry(key, payload, lock, place)
    ORDER BY place RETURNING id
), wake AS MATERIALIZED (SELECT pg_notify(channel, '')::text FROM unnest(%s::text[]) AS channel)
SELECT id FROM entry LEFT JOIN wake ON true
"""
# One row costs half of that, and a statement that goes on with it (`FROM entry`) is a request's only one.
PG_ENTRY = """WITH entry AS (INSERT INTO django_q_ormq (key, payload, lock) VALUES
    (%s, %s, COALESCE(%s::timestamptz, statement_timestamp() - interval '1 microsecond')) RETURNING id)"""
PG_WAKE = f"CASE WHEN %s THEN pg_notify('{CHANNEL}', '')::text END"
PG_INSERT_ONE = PG_ENTRY + f"SELECT id, {PG_WAKE} FROM entry"  # noqa: S608
PG_LEASE = "date_trunc('second', statement_timestamp()) + %s::interval + interval '1 second'"
# A queue's statistics are those of an empty table, and by them PostgreSQL would rather sort the whole backlog than
# walk the index. The claim need not outlive a crash of the server, so nobody waits for its disk: an entry whose claim
# is lost is due again, and may run twice in any case.
PG_CLAIM = Planned(
    "notifications_claim_entries",
    f"""
    WITH due AS MATERIALIZED (
        SELECT id, lock FROM django_q_ormq WHERE key = %s AND lock <= statement_timestamp()
        ORDER BY lock LIMIT %s FOR UPDATE SKIP LOCKED
    )
    UPDATE django_q_ormq q SET lock = {PG_LEASE} FROM due WHERE q.id = due.id
    RETURNING q.id, q.payload, due.lock, q.lock
    """,  # noqa: S608
    "SET LOCAL enable_sort = off; SET LOCAL synchronous_commit = off;",
)
SQLITE_DUE = (
    "SELECT id, payload, lock FROM django_q_ormq WHERE key = %s AND lock <= %s ORDER BY lock LIMIT %s"
)
TASK_COLUMNS = (
    'id, name, func, hook, args, kwargs, result, "group", cluster, started, stopped, success, attempt_count'
)
TASK_TYPES = (
    'id text, name text, func text, hook text, args text, kwargs text, result text, "group" text, cluster text, '
    "started timestamptz, stopped timestamptz, success bool, attempt_count int"
)
TASK_NAMES = TASK_COLUMNS.replace('"', "").split(", ")
UPSERT = """
ON CONFLICT (id) DO UPDATE SET result = excluded.result, started = excluded.started,
    stopped = excluded.stopped, success = excluded.success, attempt_count = excluded.attempt_count
"""
SQLITE_RESULT = (
    f"INSERT INTO django_q_task ({TASK_COLUMNS}) VALUES ({', '.join(['%s'] * len(TASK_NAMES))}) {UPSERT}"  # noqa: S608
)
# One statement, which is a transaction without the round trips of one.
PG_FINISH = f"""
WITH gone AS (DELETE FROM django_q_ormq WHERE id = ANY(%s))
INSERT INTO django_q_task ({TASK_COLUMNS})
SELECT {TASK_COLUMNS} FROM json_to_recordset(%s::json) AS r({TASK_TYPES}) {UPSERT}
"""  # noqa: S608
