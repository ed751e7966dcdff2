"""What a database's catalogue says of its schema, as lines that can be compared.

The partitions of locations are left out: which there are is a question of the day.
"""

from pg8000.native import Connection

OWN = """
    WITH own AS (
        SELECT * FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    )
"""

TABLES = {
    "table": """
        SELECT format('%s, persistence %s, partitioned by %s',
                      relname, relpersistence, coalesce(pg_get_partkeydef(oid), 'nothing'))
        FROM own
    """,
    "column": """
        SELECT format('%s.%s %s%s, default %s', relname, attname, format_type(atttypid, atttypmod),
                      CASE WHEN attnotnull THEN ' not null' END,
                      coalesce(pg_get_expr(adbin, adrelid), 'none'))
        FROM own JOIN pg_attribute ON attrelid = own.oid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped
    """,
    # From PostgreSQL 18 on NOT NULL is one of them ('n'); the columns say it on every version.
    "constraint": """
        SELECT format('%s on %s: %s%s', conname, relname, pg_get_constraintdef(kept.oid),
                      CASE WHEN NOT convalidated THEN ' not valid' END)
        FROM own JOIN pg_constraint kept ON conrelid = own.oid WHERE contype <> 'n'
    """,
    "index": """
        SELECT format('%s%s', pg_get_indexdef(indexrelid),
                      CASE WHEN NOT indisvalid THEN ' invalid' END)
        FROM own JOIN pg_index ON indrelid = own.oid
    """,
}

EVERYTHING = TABLES | {
    "trigger": """
        SELECT pg_get_triggerdef(kept.oid)
        FROM own JOIN pg_trigger kept ON tgrelid = own.oid WHERE NOT tgisinternal
    """,
    "function": """
        SELECT format('%s may be run by %s', pg_get_functiondef(oid), coalesce(proacl::text, 'all'))
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
    "type": """
        SELECT typname::text FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e', 'r')
    """,
}


def read(connection: Connection, queries: dict[str, str] = EVERYTHING) -> set[str]:
    """Return a line for each thing in the catalogue."""
    return {
        f"{kind} {line}"
        for kind, query in queries.items()
        for (line,) in connection.run(f"{OWN} {query}")
    }
