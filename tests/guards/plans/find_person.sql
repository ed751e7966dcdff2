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
people AS
(SELECT users.id AS id, users.name AS name, group_members.group_id AS group_id, group_members.role AS role, group_members.joined_at AS joined_at, (SELECT json_agg(json_build_object('id', devices.id, 'publicKey', translate(encode(devices.public_key, 'base64'), chr(10), ''), 'confirmed', (SELECT groups_1.key_version
FROM groups AS groups_1
WHERE groups_1.id = group_members.group_id) = 0 OR (EXISTS (SELECT key_envelopes.id
FROM key_envelopes
WHERE key_envelopes.device_id = devices.id AND key_envelopes.group_id = group_members.group_id AND key_envelopes.key_version = (SELECT groups_1.key_version
FROM groups AS groups_1
WHERE groups_1.id = group_members.group_id))), 'joinProof', translate(encode((SELECT invite_codes.join_proof
FROM invite_codes
WHERE invite_codes.used_by_device_id = devices.id AND invite_codes.group_id = group_members.group_id AND invite_codes.used_at >= group_members.joined_at ORDER BY invite_codes.used_at DESC
 LIMIT 1), 'base64'), chr(10), ''), 'kind', CASE WHEN devices.in_browser THEN 'web' ELSE devices.kind END) ORDER BY devices.id) AS json_agg_1
FROM devices
WHERE devices.user_id = users.id AND devices.public_key IS NOT NULL AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365) AS devices, (SELECT json_agg(json_build_object('id', devices.id, 'tid', devices.tid, 'needsSetup', devices.key_version != groups.key_version AND (devices.key_version > 0 OR groups.encryption = 'required')) ORDER BY devices.id) AS json_agg_2
FROM devices JOIN groups ON groups.id = devices.group_id
WHERE devices.user_id = users.id AND devices.group_id = group_members.group_id AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365) AS phones
FROM users JOIN group_members ON group_members.user_id = users.id JOIN membership ON membership.group_id = group_members.group_id
WHERE users.id = $3::UUID)
 SELECT caller.user_id AS caller_user_id, people.id, people.name, people.group_id, people.role, people.joined_at, people.devices, people.phones
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN people ON true ORDER BY people.id, people.group_id
