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
chosen AS
(SELECT membership.group_id AS group_id, membership.user_id AS user_id, membership.role AS role, membership.joined_at AS joined_at, membership.sharing_paused AS sharing_paused, membership.sharing_resumes_at AS sharing_resumes_at, membership.name AS name, membership.encryption AS encryption, membership.key_version AS key_version, membership.rotation_required AS rotation_required, membership.retention_days AS retention_days, membership.browsers AS browsers, membership.is_confirmed AS is_confirmed
FROM membership
WHERE membership.group_id = CAST($3 AS UUID) OR CAST($3 AS UUID) IS NULL AND (SELECT count(*) AS count_1
FROM membership) = 1),
numbered AS
(SELECT shown.group_id AS group_id, shown.user_id AS user_id, shown.recorded_at AS recorded_at, shown.id AS id, shown.device_id AS device_id, shown.received_at AS received_at, shown.latitude AS latitude, shown.longitude AS longitude, shown.accuracy AS accuracy, shown.encrypted_data AS encrypted_data, shown.key_version AS key_version, row_number() OVER (ORDER BY shown.user_id) AS n, sum(FLOOR((coalesce(octet_length(shown.encrypted_data), 0) * 4) / 3) + 400) OVER (ORDER BY shown.user_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bytes
FROM (SELECT of_member.group_id AS group_id, of_member.user_id AS user_id, of_member.recorded_at AS recorded_at, of_member.id AS id, of_member.device_id AS device_id, of_member.received_at AS received_at, of_member.latitude AS latitude, of_member.longitude AS longitude, of_member.accuracy AS accuracy, of_member.encrypted_data AS encrypted_data, of_member.key_version AS key_version
FROM chosen JOIN group_members AS group_members_1 ON group_members_1.group_id = chosen.group_id AND chosen.is_confirmed JOIN LATERAL points_of_member(group_members_1.group_id, group_members_1.user_id, greatest(now() - chosen.retention_days * interval '1 day', CASE WHEN (group_members_1.user_id != chosen.user_id) THEN chosen.joined_at END), CASE WHEN (group_members_1.user_id != chosen.user_id) THEN chosen.joined_at ELSE timestamptz '-infinity' END, timestamptz 'infinity', '00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid, 1) AS of_member ON true
WHERE CAST($4 AS UUID) IS NULL OR group_members_1.user_id > CAST($4 AS UUID)) AS shown)
 SELECT caller.user_id AS caller_user_id, chosen.group_id, chosen.is_confirmed, (SELECT string_agg(CAST(membership.group_id AS TEXT), ', ') AS string_agg_1
FROM membership) AS group_ids, (SELECT json_agg(json_build_object('id', numbered.id, 'groupId', numbered.group_id, 'userId', numbered.user_id, 'deviceId', numbered.device_id, 'recordedAt', numbered.recorded_at, 'receivedAt', numbered.received_at, 'latitude', numbered.latitude, 'longitude', numbered.longitude, 'accuracy', numbered.accuracy, 'encryptedData', encode(numbered.encrypted_data, 'base64'), 'keyVersion', numbered.key_version) ORDER BY numbered.n) FILTER (WHERE numbered.n = 1 OR numbered.bytes <= 1000000) AS anon_1
FROM numbered) AS points, (SELECT NOT coalesce(bool_and(numbered.n = 1 OR numbered.bytes <= 1000000), true) AS coalesce_1
FROM numbered) AS has_more
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN chosen ON true
