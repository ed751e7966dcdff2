WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id, devices.group_id AS group_id, devices.key_version AS key_version, devices.tid AS tid
FROM devices
WHERE devices.id = $1::UUID AND devices.token_hash = $2 AND devices.kind = $3::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
used_today AS
(UPDATE devices SET last_used_on=CURRENT_DATE WHERE devices.id = (SELECT caller.device_id
FROM caller) AND devices.last_used_on < CURRENT_DATE)
 SELECT caller.user_id AS caller_user_id
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true
