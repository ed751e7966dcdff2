WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id
FROM devices
WHERE devices.token_hash = $1 AND devices.kind = $2::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
membership AS
(SELECT group_members.group_id AS group_id, group_members.user_id AS user_id, group_members.role AS role, group_members.joined_at AS joined_at, group_members.sharing_paused AND (group_members.sharing_resumes_at IS NULL OR group_members.sharing_resumes_at > now()) AS sharing_paused, group_members.sharing_resumes_at AS sharing_resumes_at, groups.name AS name, groups.encryption AS encryption, groups.key_version AS key_version, groups.rotation_required AS rotation_required, groups.retention_days AS retention_days, groups.browsers AS browsers, groups.key_version = 0 OR (EXISTS (SELECT key_envelopes.id
FROM key_envelopes
WHERE key_envelopes.device_id = (SELECT caller.device_id
FROM caller) AND key_envelopes.group_id = groups.id AND key_envelopes.key_version = groups.key_version)) AS is_confirmed
FROM group_members JOIN groups ON groups.id = group_members.group_id
WHERE group_members.user_id = (SELECT caller.user_id
FROM caller) ORDER BY groups.id FOR SHARE OF groups, group_members),
point AS
(SELECT anon_1.n AS n, coalesce(anon_1.group_id, (SELECT membership.group_id
FROM membership
WHERE (SELECT count(*) AS count_1
FROM membership) = 1)) AS group_id, coalesce(anon_1.id, new_id(coalesce(to_timestamp(anon_1.recorded_ms / CAST(1000.0::float8 AS DOUBLE PRECISION)), now()))) AS id, anon_1.latitude AS latitude, anon_1.longitude AS longitude, anon_1.accuracy AS accuracy, decode(anon_1.encrypted_data, 'hex') AS encrypted_data, anon_1.key_version AS key_version
FROM json_to_recordset(CAST($3::VARCHAR AS JSON)) AS anon_1(n INTEGER, id UUID, group_id UUID, recorded_ms BIGINT, latitude DOUBLE PRECISION, longitude DOUBLE PRECISION, accuracy DOUBLE PRECISION, encrypted_data TEXT, key_version INTEGER)),
held_device AS
(SELECT devices.id AS id
FROM devices
WHERE devices.id = (SELECT caller.device_id
FROM caller) AND devices.revoked_at IS NULL AND devices.token_hash = $1 AND (SELECT count(*) AS count_2
FROM membership) >= 0 FOR SHARE),
judged AS
(SELECT point.n AS n, point.group_id AS group_id, point.id AS id, point.latitude AS latitude, point.longitude AS longitude, point.accuracy AS accuracy, point.encrypted_data AS encrypted_data, point.key_version AS key_version, membership.user_id AS user_id, held_device.id AS device_id, uuid_time(point.id) AS recorded_at, sha256(uuid_send(point.id)) AS digest, CASE WHEN (point.group_id IS NULL) THEN 'group_required' WHEN (membership.group_id IS NULL) THEN 'group_not_found' WHEN membership.sharing_paused THEN 'sharing_paused' WHEN (point.encrypted_data IS NULL AND membership.encryption = 'required') THEN 'encryption_required' WHEN (point.encrypted_data IS NOT NULL AND membership.key_version = 0) THEN 'group_key_missing' WHEN (point.encrypted_data IS NOT NULL AND membership.rotation_required) THEN 'rotation_required' WHEN (point.encrypted_data IS NOT NULL AND membership.key_version != point.key_version) THEN 'key_version_conflict' WHEN (NOT membership.is_confirmed AND (SELECT groups_1.key_version
FROM groups AS groups_1
WHERE groups_1.id = membership.group_id) != membership.key_version) THEN 'key_version_conflict' WHEN NOT membership.is_confirmed THEN 'not_confirmed' WHEN (uuid_time(point.id) < now() - membership.retention_days * interval '1 day' OR uuid_time(point.id) > now() + interval '10 minutes') THEN 'out_of_range' END AS refusal
FROM point JOIN held_device ON true LEFT OUTER JOIN membership ON membership.group_id = point.group_id),
stored AS
(INSERT INTO locations (group_id, user_id, recorded_at, id, device_id, latitude, longitude, accuracy, encrypted_data, key_version) SELECT judged.group_id AS group_id, judged.user_id AS user_id, judged.recorded_at AS recorded_at, judged.id AS id, judged.device_id AS device_id, judged.latitude AS latitude, judged.longitude AS longitude, judged.accuracy AS accuracy, judged.encrypted_data AS encrypted_data, judged.key_version AS key_version
FROM judged
WHERE judged.refusal IS NULL AND NOT is_erased(judged.group_id, judged.user_id, judged.digest) ORDER BY judged.id ON CONFLICT DO NOTHING)
 SELECT EXISTS (SELECT held_device.id
FROM held_device) AS is_signed_in, (SELECT string_agg(CAST(membership.group_id AS TEXT), ', ') AS string_agg_1
FROM membership) AS group_ids, (SELECT json_agg(json_build_array(judged.n, judged.id, CASE WHEN (judged.refusal IS NULL) THEN NULL WHEN (location_is_stored(judged.group_id, judged.user_id, judged.recorded_at, judged.id) OR is_erased(judged.group_id, judged.user_id, judged.digest)) THEN NULL ELSE judged.refusal END)) AS json_agg_1
FROM judged) AS verdicts
