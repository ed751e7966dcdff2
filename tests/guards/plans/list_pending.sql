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
asked AS
(SELECT membership.group_id AS group_id, membership.user_id AS user_id, membership.role AS role, membership.joined_at AS joined_at, membership.sharing_paused AS sharing_paused, membership.sharing_resumes_at AS sharing_resumes_at, membership.name AS name, membership.encryption AS encryption, membership.key_version AS key_version, membership.rotation_required AS rotation_required, membership.retention_days AS retention_days, membership.browsers AS browsers, membership.is_confirmed AS is_confirmed
FROM membership
WHERE membership.group_id = $3::UUID)
 SELECT caller.user_id AS caller_user_id, asked.group_id, asked.is_confirmed, (SELECT json_agg(json_build_object('deviceId', devices.id, 'userId', users.id, 'name', users.name, 'publicKey', translate(encode(devices.public_key, 'base64'), chr(10), ''), 'joinProof', translate(encode((SELECT invite_codes.join_proof
FROM invite_codes
WHERE invite_codes.used_by_device_id = devices.id AND invite_codes.group_id = group_members.group_id AND invite_codes.used_at >= group_members.joined_at ORDER BY invite_codes.used_at DESC
 LIMIT 1), 'base64'), chr(10), '')) ORDER BY devices.id) AS json_agg_1
FROM group_members JOIN users ON users.id = group_members.user_id JOIN devices ON devices.user_id = users.id
WHERE group_members.group_id = asked.group_id AND asked.is_confirmed AND asked.key_version > 0 AND devices.public_key IS NOT NULL AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365 AND NOT (EXISTS (SELECT key_envelopes.id
FROM key_envelopes
WHERE key_envelopes.device_id = devices.id AND key_envelopes.group_id = asked.group_id AND key_envelopes.key_version = asked.key_version AND key_envelopes.wrapped_key IS NOT NULL))) AS devices
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN asked ON true
