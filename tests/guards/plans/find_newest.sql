WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id
FROM devices
WHERE devices.token_hash = $1 AND devices.kind = $2::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
used_today AS
(UPDATE devices SET last_used_on=CURRENT_DATE WHERE devices.id = (SELECT caller.device_id
FROM caller) AND devices.last_used_on < CURRENT_DATE),
membership AS
(SELECT group_members.group_id AS group_id, group_members.user_id AS user_id, group_members.role AS role, group_members.joined_at AS joined_at, group_members.sharing_paused AND (group_members.sharing_resumes_at IS NULL OR group_members.sharing_resumes_at > now()) AS sharing_paused, group_members.sharing_resumes_at AS sharing_resumes_at, groups.name AS name, groups.encryption AS encryption, groups.key_version AS key_version, groups.rotation_required AS rotation_required, groups.retention_days AS retention_days, groups.browsers AS browsers, groups.key_version = 0 OR (EXISTS (SELECT key_envelopes.id
FROM key_envelopes
WHERE key_envelopes.device_id = (SELECT caller.device_id
FROM caller) AND key_envelopes.group_id = groups.id AND key_envelopes.key_version = groups.key_version)) AS is_confirmed
FROM group_members JOIN groups ON groups.id = group_members.group_id
WHERE group_members.user_id = (SELECT caller.user_id
FROM caller)),
newest AS
(SELECT key_envelopes.wrapped_key AS wrapped_key, key_envelopes.wrapper_public_key AS wrapper_public_key, key_envelopes.key_version AS key_version
FROM key_envelopes JOIN membership ON membership.group_id = key_envelopes.group_id AND membership.key_version = key_envelopes.key_version
WHERE key_envelopes.device_id = (SELECT caller.device_id
FROM caller) AND key_envelopes.wrapped_key IS NOT NULL ORDER BY key_envelopes.id DESC
 LIMIT 1)
 SELECT caller.user_id AS caller_user_id, newest.wrapped_key, newest.wrapper_public_key, newest.key_version, EXISTS (SELECT membership.group_id
FROM membership
WHERE membership.key_version > 0) AS is_pending
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN newest ON true
