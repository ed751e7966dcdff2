WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id
FROM devices
WHERE devices.token_hash = $1 AND devices.kind = $2::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
used_today AS
(UPDATE devices SET last_used_on=CURRENT_DATE WHERE devices.id = (SELECT caller.device_id
FROM caller) AND devices.last_used_on < CURRENT_DATE)
 SELECT caller.user_id AS caller_user_id, (SELECT users.name
FROM users
WHERE users.id = caller.user_id) AS name
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true
