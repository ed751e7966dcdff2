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
FROM caller))
 SELECT caller.user_id AS caller_user_id, membership.group_id, membership.user_id, membership.role, membership.joined_at, membership.sharing_paused, membership.sharing_resumes_at, membership.name, membership.encryption, membership.key_version, membership.rotation_required, membership.retention_days, membership.browsers, membership.is_confirmed
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN membership ON true ORDER BY membership.group_id
