WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id
FROM devices
WHERE devices.token_hash = $1 AND devices.kind = $2::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
used_today AS
(UPDATE devices SET last_used_on=CURRENT_DATE WHERE devices.id = (SELECT caller.device_id
FROM caller) AND devices.last_used_on < CURRENT_DATE),
listed AS
(SELECT devices.id AS id, devices.created_at AS created_at, devices.user_id AS user_id, devices.name AS name, devices.kind AS kind, devices.public_key AS public_key, devices.token_hash AS token_hash, devices.tid AS tid, devices.last_used_on AS last_used_on, devices.revoked_at AS revoked_at, devices.group_id AS group_id, devices.key_version AS key_version, devices.in_browser AS in_browser, CASE WHEN devices.in_browser THEN 'web' ELSE devices.kind END AS kind_in_form_2, devices.key_version != groups.key_version AND (devices.key_version > 0 OR groups.encryption = 'required') AS needs_setup
FROM devices LEFT OUTER JOIN groups ON groups.id = devices.group_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller) AND devices.revoked_at IS NULL)
 SELECT caller.user_id AS caller_user_id, listed.id, listed.name, listed.kind, listed.kind_in_form_2, listed.public_key, listed.group_id, listed.tid, listed.needs_setup, listed.created_at, listed.last_used_on, listed.id = caller.device_id AS is_this_one
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN listed ON true ORDER BY listed.id
