SELECT (SELECT version_num
FROM alembic_version) AS revision, to_regclass('locations_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')) IS NOT NULL AS has_next_month, current_setting('transaction_read_only')::boolean AS is_read_only, (
    SELECT coalesce(bool_or(row_security_active(to_regclass('public.' || name))), false)
    FROM unnest(string_to_array('departed_tids device_cards devices erased_points further_envelopes given_keys group_keys group_members groups invite_codes key_envelopes locations owntracks_cards owntracks_served owntracks_transitions rate_limits users vouches', ' ')) AS name
) AS rows_are_hidden
