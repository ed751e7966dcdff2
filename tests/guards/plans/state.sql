SELECT (SELECT version_num
FROM alembic_version) AS revision, to_regclass('locations_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')) IS NOT NULL AS has_next_month
