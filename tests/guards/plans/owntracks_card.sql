WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id, devices.group_id AS group_id, devices.key_version AS key_version, devices.tid AS tid
FROM devices
WHERE devices.id = $1::UUID AND devices.token_hash = $2 AND devices.kind = $3::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
membership AS
(SELECT group_members.group_id AS group_id, group_members.user_id AS user_id, group_members.role AS role, group_members.joined_at AS joined_at, group_members.sharing_paused AND (group_members.sharing_resumes_at IS NULL OR group_members.sharing_resumes_at > now()) AS sharing_paused, group_members.sharing_resumes_at AS sharing_resumes_at, groups.name AS name, groups.encryption AS encryption, groups.key_version AS key_version, groups.rotation_required AS rotation_required, groups.retention_days AS retention_days, groups.browsers AS browsers, true AS is_confirmed
FROM group_members JOIN groups ON groups.id = group_members.group_id
WHERE group_members.user_id = (SELECT caller.user_id
FROM caller) AND groups.id = (SELECT caller.group_id
FROM caller) ORDER BY groups.id FOR SHARE OF groups, group_members),
held_device AS
(SELECT devices.id AS id
FROM devices
WHERE devices.id = (SELECT caller.device_id
FROM caller) AND devices.revoked_at IS NULL AND devices.token_hash = $2 AND (SELECT count(*) AS count_1
FROM membership) >= 0 FOR SHARE),
judged AS
(SELECT membership.group_id AS group_id, membership.user_id AS user_id, held_device.id AS device_id, CASE WHEN (membership.encryption = 'required') THEN 'encryption_required' END AS refusal
FROM held_device JOIN membership ON true),
stored AS
(INSERT INTO owntracks_cards (device_id, name, face) SELECT judged.device_id AS device_id, CAST($4 AS VARCHAR) AS anon_1, CAST($5 AS VARCHAR) AS anon_2
FROM judged
WHERE judged.refusal IS NULL ON CONFLICT (device_id) DO UPDATE SET name = excluded.name, face = excluded.face, updated_at = excluded.updated_at WHERE owntracks_cards.name IS DISTINCT FROM excluded.name OR owntracks_cards.face IS DISTINCT FROM excluded.face RETURNING owntracks_cards.device_id)
 SELECT EXISTS (SELECT held_device.id
FROM held_device) AS is_signed_in, (SELECT judged.refusal
FROM judged) AS refusal, EXISTS (SELECT stored.device_id
FROM stored) AS is_stored
