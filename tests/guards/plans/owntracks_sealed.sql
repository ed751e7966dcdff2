WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id, devices.group_id AS group_id, devices.key_version AS key_version, devices.tid AS tid
FROM devices
WHERE devices.id = $1::UUID AND devices.token_hash = $2 AND devices.kind = $3::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
point AS
(SELECT 0 AS n, caller.group_id AS group_id, new_id() AS id, null::float8 AS latitude, null::float8 AS longitude, null::float8 AS accuracy, CAST($4 AS BYTEA) AS encrypted_data, caller.key_version AS key_version
FROM caller),
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
(SELECT point.n AS n, point.group_id AS group_id, point.id AS id, point.latitude AS latitude, point.longitude AS longitude, point.accuracy AS accuracy, point.encrypted_data AS encrypted_data, point.key_version AS key_version, membership.user_id AS user_id, held_device.id AS device_id, uuid_time(point.id) AS recorded_at, sha256(point.encrypted_data) AS digest, CASE WHEN (point.group_id IS NULL) THEN 'group_required' WHEN (membership.group_id IS NULL) THEN 'group_not_found' WHEN membership.sharing_paused THEN 'sharing_paused' WHEN (point.encrypted_data IS NULL AND membership.encryption = 'required') THEN 'encryption_required' WHEN (point.encrypted_data IS NOT NULL AND membership.key_version = 0) THEN 'group_key_missing' WHEN (point.encrypted_data IS NOT NULL AND membership.rotation_required) THEN 'rotation_required' WHEN (point.encrypted_data IS NOT NULL AND membership.key_version != point.key_version) THEN 'key_version_conflict' WHEN (NOT membership.is_confirmed AND (SELECT groups_1.key_version
FROM groups AS groups_1
WHERE groups_1.id = membership.group_id) != membership.key_version) THEN 'key_version_conflict' WHEN NOT membership.is_confirmed THEN 'not_confirmed' WHEN (uuid_time(point.id) < now() - membership.retention_days * interval '1 day' OR uuid_time(point.id) > now() + interval '10 minutes') THEN 'out_of_range' END AS refusal
FROM point JOIN held_device ON true LEFT OUTER JOIN membership ON membership.group_id = point.group_id),
turn AS
(SELECT group_members_1.user_id AS user_id, newest.encrypted_data AS encrypted_data
FROM caller JOIN judged ON judged.refusal IS NULL JOIN membership ON true JOIN group_members AS group_members_1 ON group_members_1.group_id = membership.group_id AND group_members_1.user_id != membership.user_id JOIN LATERAL newest_of_member(group_members_1.group_id, group_members_1.user_id, greatest(now() - membership.retention_days * interval '1 day', CASE WHEN (group_members_1.user_id != membership.user_id) THEN membership.joined_at END), CASE WHEN (group_members_1.user_id != membership.user_id) THEN membership.joined_at ELSE timestamptz '-infinity' END, membership.key_version, 200) AS newest ON true LEFT OUTER JOIN owntracks_served ON owntracks_served.device_id = caller.device_id AND owntracks_served.user_id = group_members_1.user_id ORDER BY owntracks_served.sealed_served_at NULLS FIRST, group_members_1.user_id
 LIMIT 1),
noted AS
(INSERT INTO owntracks_served (device_id, user_id, sealed_served_at) SELECT caller.device_id AS device_id, turn.user_id AS user_id, clock_timestamp() AS clock_timestamp_1
FROM caller JOIN turn ON true
WHERE clock_timestamp() IS NOT NULL ORDER BY turn.user_id ON CONFLICT (device_id, user_id) DO UPDATE SET sealed_served_at = coalesce(excluded.sealed_served_at, owntracks_served.sealed_served_at)),
stored AS
(INSERT INTO locations (group_id, user_id, recorded_at, id, device_id, latitude, longitude, accuracy, encrypted_data, key_version) SELECT judged.group_id AS group_id, judged.user_id AS user_id, judged.recorded_at AS recorded_at, judged.id AS id, judged.device_id AS device_id, judged.latitude AS latitude, judged.longitude AS longitude, judged.accuracy AS accuracy, judged.encrypted_data AS encrypted_data, judged.key_version AS key_version
FROM judged
WHERE judged.refusal IS NULL AND NOT is_erased(judged.group_id, judged.user_id, judged.digest) AND NOT (EXISTS (SELECT of_member.id
FROM caller JOIN LATERAL points_of_member(caller.group_id, caller.user_id, now() - interval '7 days', timestamptz '-infinity', timestamptz 'infinity', '00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid, 200) AS of_member ON true
WHERE CASE WHEN (octet_length(of_member.encrypted_data) != octet_length(judged.encrypted_data)) THEN false WHEN (substr(of_member.encrypted_data, 1, 24) != substr(judged.encrypted_data, 1, 24)) THEN false ELSE of_member.encrypted_data = judged.encrypted_data END)) ORDER BY judged.id ON CONFLICT DO NOTHING RETURNING locations.id)
 SELECT EXISTS (SELECT held_device.id
FROM held_device) AS is_signed_in, (SELECT judged.refusal
FROM judged) AS refusal, EXISTS (SELECT stored.id
FROM stored) AS is_stored, (SELECT turn.encrypted_data
FROM turn) AS sealed
