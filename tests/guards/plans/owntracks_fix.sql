WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id, devices.group_id AS group_id, devices.key_version AS key_version, devices.tid AS tid
FROM devices
WHERE devices.id = $1::UUID AND devices.token_hash = $2 AND devices.kind = $3::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
point AS
(SELECT 0 AS n, caller.group_id AS group_id, CAST($4 AS UUID) AS id, CAST($5 AS DOUBLE PRECISION) AS latitude, CAST($6 AS DOUBLE PRECISION) AS longitude, CAST($7 AS DOUBLE PRECISION) AS accuracy, null::bytea AS encrypted_data, null::integer AS key_version
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
(SELECT point.n AS n, point.group_id AS group_id, point.id AS id, point.latitude AS latitude, point.longitude AS longitude, point.accuracy AS accuracy, point.encrypted_data AS encrypted_data, point.key_version AS key_version, membership.user_id AS user_id, held_device.id AS device_id, uuid_time(point.id) AS recorded_at, sha256(uuid_send(point.id)) AS digest, CASE WHEN (point.group_id IS NULL) THEN 'group_required' WHEN (membership.group_id IS NULL) THEN 'group_not_found' WHEN membership.sharing_paused THEN 'sharing_paused' WHEN (point.encrypted_data IS NULL AND membership.encryption = 'required') THEN 'encryption_required' WHEN (point.encrypted_data IS NOT NULL AND membership.key_version = 0) THEN 'group_key_missing' WHEN (point.encrypted_data IS NOT NULL AND membership.rotation_required) THEN 'rotation_required' WHEN (point.encrypted_data IS NOT NULL AND membership.key_version != point.key_version) THEN 'key_version_conflict' WHEN (NOT membership.is_confirmed AND (SELECT groups_1.key_version
FROM groups AS groups_1
WHERE groups_1.id = membership.group_id) != membership.key_version) THEN 'key_version_conflict' WHEN NOT membership.is_confirmed THEN 'not_confirmed' WHEN (uuid_time(point.id) < now() - membership.retention_days * interval '1 day' OR uuid_time(point.id) > now() + interval '10 minutes') THEN 'out_of_range' END AS refusal
FROM point JOIN held_device ON true LEFT OUTER JOIN membership ON membership.group_id = point.group_id),
told AS
(SELECT group_members_1.user_id AS user_id, caller.user_id AS caller_user_id, CASE WHEN (group_members_1.user_id = caller.user_id) THEN caller.tid ELSE coalesce(carried.tid, right(CAST(group_members_1.user_id AS TEXT), 8)) END AS tid, coalesce(card.name, users.name) AS name, CASE WHEN (owntracks_served.card_served_at IS NULL OR owntracks_served.card_served_at < greatest(card.updated_at, now() - interval '1 day')) THEN card.face END AS face, card.face IS NULL OR owntracks_served.card_served_at IS NULL OR owntracks_served.card_served_at < greatest(card.updated_at, now() - interval '1 day') AS is_card_due, CAST(floor(date_part('epoch', newest.recorded_at)) AS BIGINT) AS at, newest.latitude AS latitude, newest.longitude AS longitude, newest.accuracy AS accuracy, passed.transitions AS transitions, passed.transition_id AS transition_id
FROM caller JOIN judged ON judged.refusal IS NULL JOIN membership ON true JOIN group_members AS group_members_1 ON group_members_1.group_id = membership.group_id JOIN users ON users.id = group_members_1.user_id LEFT OUTER JOIN LATERAL newest_of_member(group_members_1.group_id, group_members_1.user_id, greatest(now() - membership.retention_days * interval '1 day', CASE WHEN (group_members_1.user_id != membership.user_id) THEN membership.joined_at END), CASE WHEN (group_members_1.user_id != membership.user_id) THEN membership.joined_at ELSE timestamptz '-infinity' END, null::integer, 200) AS newest ON true LEFT OUTER JOIN LATERAL (SELECT devices_1.tid AS tid
FROM devices AS devices_1
WHERE devices_1.group_id = group_members_1.group_id AND devices_1.user_id = group_members_1.user_id AND devices_1.revoked_at IS NULL ORDER BY devices_1.id
 LIMIT 1) AS carried ON true LEFT OUTER JOIN LATERAL (SELECT owntracks_cards.name AS name, owntracks_cards.face AS face, owntracks_cards.updated_at AS updated_at
FROM owntracks_cards JOIN devices AS devices_1 ON devices_1.id = owntracks_cards.device_id
WHERE devices_1.group_id = group_members_1.group_id AND devices_1.user_id = group_members_1.user_id AND devices_1.revoked_at IS NULL ORDER BY owntracks_cards.updated_at DESC, owntracks_cards.device_id
 LIMIT 1) AS card ON true LEFT OUTER JOIN owntracks_served ON owntracks_served.device_id = caller.device_id AND owntracks_served.user_id = group_members_1.user_id LEFT OUTER JOIN LATERAL (SELECT json_agg(json_build_object('event', untold.event, 'description', untold.description, 'at', CAST(floor(date_part('epoch', untold.occurred_at)) AS BIGINT), 'waypointAt', CAST(floor(date_part('epoch', untold.waypoint_at)) AS BIGINT), 'latitude', untold.latitude, 'longitude', untold.longitude, 'accuracy', untold.accuracy) ORDER BY untold.id) AS transitions, (array_agg(untold.id ORDER BY untold.id DESC))[1] AS transition_id
FROM (SELECT owntracks_transitions.id AS id, owntracks_transitions.created_at AS created_at, owntracks_transitions.group_id AS group_id, owntracks_transitions.user_id AS user_id, owntracks_transitions.device_id AS device_id, owntracks_transitions.event AS event, owntracks_transitions.description AS description, owntracks_transitions.occurred_at AS occurred_at, owntracks_transitions.waypoint_at AS waypoint_at, owntracks_transitions.latitude AS latitude, owntracks_transitions.longitude AS longitude, owntracks_transitions.accuracy AS accuracy
FROM owntracks_transitions
WHERE owntracks_transitions.group_id = group_members_1.group_id AND owntracks_transitions.user_id = group_members_1.user_id AND owntracks_transitions.created_at >= greatest(membership.joined_at, now() - interval '1 day') AND owntracks_transitions.id > coalesce(owntracks_served.transition_id, '00000000-0000-0000-0000-000000000000'::uuid) AND group_members_1.user_id != membership.user_id AND $8::BOOLEAN ORDER BY owntracks_transitions.id
 LIMIT 50) AS untold) AS passed ON true),
noted AS
(INSERT INTO owntracks_served (device_id, user_id, card_served_at, transition_id) SELECT caller.device_id AS device_id, told.user_id AS user_id, CASE WHEN (told.face IS NOT NULL) THEN now() END AS anon_1, told.transition_id AS transition_id
FROM caller JOIN told ON true
WHERE CASE WHEN (told.face IS NOT NULL) THEN now() END IS NOT NULL OR told.transition_id IS NOT NULL ORDER BY told.user_id ON CONFLICT (device_id, user_id) DO UPDATE SET card_served_at = coalesce(excluded.card_served_at, owntracks_served.card_served_at), transition_id = coalesce(excluded.transition_id, owntracks_served.transition_id)),
stored AS
(INSERT INTO locations (group_id, user_id, recorded_at, id, device_id, latitude, longitude, accuracy, encrypted_data, key_version) SELECT judged.group_id AS group_id, judged.user_id AS user_id, judged.recorded_at AS recorded_at, judged.id AS id, judged.device_id AS device_id, judged.latitude AS latitude, judged.longitude AS longitude, judged.accuracy AS accuracy, judged.encrypted_data AS encrypted_data, judged.key_version AS key_version
FROM judged
WHERE judged.refusal IS NULL AND NOT is_erased(judged.group_id, judged.user_id, judged.digest) ORDER BY judged.id ON CONFLICT DO NOTHING RETURNING locations.id)
 SELECT EXISTS (SELECT held_device.id
FROM held_device) AS is_signed_in, (SELECT judged.refusal
FROM judged) AS refusal, EXISTS (SELECT stored.id
FROM stored) AS is_stored, (SELECT json_agg(json_build_object('isCaller', told.user_id = told.caller_user_id, 'tid', told.tid, 'name', told.name, 'face', told.face, 'isCardDue', told.is_card_due, 'at', told.at, 'latitude', told.latitude, 'longitude', told.longitude, 'accuracy', told.accuracy, 'transitions', told.transitions) ORDER BY told.user_id) AS json_agg_1
FROM told) AS friends
