WITH caller AS
(SELECT devices.id AS device_id, devices.user_id AS user_id
FROM devices
WHERE devices.token_hash = $1 AND devices.kind = $2::VARCHAR AND devices.revoked_at IS NULL AND devices.last_used_on > CURRENT_DATE - 365),
used_today AS
(UPDATE devices SET last_used_on=CURRENT_DATE WHERE devices.id = (SELECT caller.device_id
FROM caller) AND devices.last_used_on < CURRENT_DATE),
numbered AS
(SELECT first.group_id AS group_id, first.user_id AS user_id, first.recorded_at AS recorded_at, first.id AS id, first.device_id AS device_id, first.received_at AS received_at, first.latitude AS latitude, first.longitude AS longitude, first.accuracy AS accuracy, first.encrypted_data AS encrypted_data, first.key_version AS key_version, row_number() OVER (ORDER BY first.group_id, first.recorded_at, first.id) AS n, sum(FLOOR((coalesce(octet_length(first.encrypted_data), 0) * 4) / 3) + 400) OVER (ORDER BY first.group_id, first.recorded_at, first.id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bytes
FROM (SELECT of_group.group_id AS group_id, of_group.user_id AS user_id, of_group.recorded_at AS recorded_at, of_group.id AS id, of_group.device_id AS device_id, of_group.received_at AS received_at, of_group.latitude AS latitude, of_group.longitude AS longitude, of_group.accuracy AS accuracy, of_group.encrypted_data AS encrypted_data, of_group.key_version AS key_version
FROM group_members AS group_members_1 JOIN LATERAL points_of_member_after(group_members_1.group_id, group_members_1.user_id, uuid_time(CASE WHEN (group_members_1.group_id = $4::UUID) THEN $5::UUID ELSE '00000000-0000-0000-0000-000000000000'::uuid END), CASE WHEN (group_members_1.group_id = $4::UUID) THEN $5::UUID ELSE '00000000-0000-0000-0000-000000000000'::uuid END, $3::INTEGER + 1) AS of_group ON true
WHERE group_members_1.user_id = (SELECT caller.user_id
FROM caller) AND group_members_1.group_id >= $4::UUID ORDER BY of_group.group_id, of_group.recorded_at, of_group.id
 LIMIT $3::INTEGER + 1) AS first)
 SELECT caller.user_id AS caller_user_id, (SELECT json_build_object('id', users.id, 'name', users.name, 'created_at', users.created_at) AS json_build_object_1
FROM users
WHERE users.id = (SELECT caller.user_id
FROM caller)) AS "user", (SELECT json_agg(json_build_object('id', devices.id, 'name', devices.name, 'kind', devices.kind, 'tid', devices.tid, 'group_id', devices.group_id, 'key_version', devices.key_version, 'public_key', translate(encode(devices.public_key, 'base64'), chr(10), ''), 'created_at', devices.created_at, 'last_used_on', devices.last_used_on, 'revoked_at', devices.revoked_at, 'in_browser', devices.in_browser)) AS json_agg_1
FROM devices
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS devices, (SELECT json_agg(json_build_object('id', groups.id, 'name', groups.name, 'role', group_members.role, 'joined_at', group_members.joined_at, 'sharing_paused', group_members.sharing_paused, 'sharing_resumes_at', group_members.sharing_resumes_at)) AS json_agg_2
FROM group_members JOIN groups ON groups.id = group_members.group_id
WHERE group_members.user_id = (SELECT caller.user_id
FROM caller)) AS groups, (SELECT json_agg(json_build_object('id', invite_codes.id, 'group_id', invite_codes.group_id, 'created_at', invite_codes.created_at, 'expires_at', invite_codes.expires_at, 'used_at', invite_codes.used_at, 'revoked_at', invite_codes.revoked_at, 'made_by_me', coalesce(invite_codes.created_by = (SELECT caller.user_id
FROM caller), false), 'join_proof', CASE WHEN (invite_codes.used_by = (SELECT caller.user_id
FROM caller)) THEN translate(encode(invite_codes.join_proof, 'base64'), chr(10), '') END)) AS json_agg_3
FROM invite_codes
WHERE invite_codes.created_by = (SELECT caller.user_id
FROM caller) OR invite_codes.used_by = (SELECT caller.user_id
FROM caller)) AS invites, (SELECT json_agg(json_build_object('group_id', key_envelopes.group_id, 'key_version', key_envelopes.key_version, 'device_id', key_envelopes.device_id, 'created_at', key_envelopes.created_at, 'wrapper_device_id', key_envelopes.wrapper_device_id, 'wrapped_key', translate(encode(key_envelopes.wrapped_key, 'base64'), chr(10), ''), 'wrapper_public_key', translate(encode(key_envelopes.wrapper_public_key, 'base64'), chr(10), ''), 'roster_entry', translate(encode(key_envelopes.roster_entry, 'base64'), chr(10), ''), 'former', translate(encode(key_envelopes.former, 'base64'), chr(10), ''))) AS json_agg_4
FROM key_envelopes JOIN devices ON devices.id = key_envelopes.device_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS key_envelopes, (SELECT json_agg(json_build_object('group_id', further_envelopes.group_id, 'key_version', further_envelopes.key_version, 'device_id', further_envelopes.device_id, 'created_at', further_envelopes.created_at, 'wrapper_device_id', further_envelopes.wrapper_device_id, 'wrapped_key', translate(encode(further_envelopes.wrapped_key, 'base64'), chr(10), ''), 'wrapper_public_key', translate(encode(further_envelopes.wrapper_public_key, 'base64'), chr(10), ''), 'roster_entry', translate(encode(further_envelopes.roster_entry, 'base64'), chr(10), ''), 'former', translate(encode(further_envelopes.former, 'base64'), chr(10), ''))) AS json_agg_5
FROM further_envelopes JOIN devices ON devices.id = further_envelopes.device_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS further_envelopes, (SELECT json_agg(json_build_object('group_id', given_keys.group_id, 'key_version', given_keys.key_version, 'device_id', given_keys.device_id)) AS json_agg_6
FROM given_keys JOIN devices ON devices.id = given_keys.device_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS given_keys, (SELECT json_agg(json_build_object('group_id', device_cards.group_id, 'device_id', device_cards.device_id, 'key_version', device_cards.key_version, 'sealed', translate(encode(device_cards.sealed, 'base64'), chr(10), ''), 'updated_at', device_cards.updated_at)) AS json_agg_7
FROM device_cards JOIN devices ON devices.id = device_cards.device_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS device_cards, (SELECT json_agg(json_build_object('group_id', vouches.group_id, 'key_version', vouches.key_version, 'device_id', vouches.device_id, 'voucher_device_id', vouches.voucher_device_id, 'created_at', vouches.created_at, 'entry', translate(encode(vouches.entry, 'base64'), chr(10), ''))) AS json_agg_8
FROM vouches
WHERE vouches.id IN (SELECT vouches.id
FROM vouches
WHERE vouches.device_id IN (SELECT devices.id
FROM devices
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) UNION SELECT vouches.id
FROM vouches
WHERE vouches.voucher_device_id IN (SELECT devices.id
FROM devices
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)))) AS vouches, (SELECT json_agg(json_build_object('device_id', owntracks_cards.device_id, 'name', owntracks_cards.name, 'face', owntracks_cards.face, 'updated_at', owntracks_cards.updated_at)) AS json_agg_9
FROM owntracks_cards JOIN devices ON devices.id = owntracks_cards.device_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS owntracks_cards, (SELECT json_agg(json_build_object('group_id', owntracks_transitions.group_id, 'device_id', owntracks_transitions.device_id, 'event', owntracks_transitions.event, 'description', owntracks_transitions.description, 'occurred_at', owntracks_transitions.occurred_at, 'waypoint_at', owntracks_transitions.waypoint_at, 'latitude', owntracks_transitions.latitude, 'longitude', owntracks_transitions.longitude, 'accuracy', owntracks_transitions.accuracy)) AS json_agg_10
FROM owntracks_transitions JOIN devices ON devices.id = owntracks_transitions.device_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS owntracks_transitions, (SELECT json_agg(json_build_object('device_id', owntracks_served.device_id, 'user_id', owntracks_served.user_id, 'sealed_served_at', owntracks_served.sealed_served_at, 'card_served_at', owntracks_served.card_served_at, 'transition_id', owntracks_served.transition_id)) AS json_agg_11
FROM owntracks_served JOIN devices ON devices.id = owntracks_served.device_id
WHERE devices.user_id = (SELECT caller.user_id
FROM caller)) AS owntracks_served, (SELECT json_agg(json_build_object('id', numbered.id, 'groupId', numbered.group_id, 'userId', numbered.user_id, 'deviceId', numbered.device_id, 'recordedAt', numbered.recorded_at, 'receivedAt', numbered.received_at, 'latitude', numbered.latitude, 'longitude', numbered.longitude, 'accuracy', numbered.accuracy, 'encryptedData', encode(numbered.encrypted_data, 'base64'), 'keyVersion', numbered.key_version) ORDER BY numbered.n) FILTER (WHERE (numbered.n = 1 OR numbered.bytes <= 1000000) AND numbered.n <= $3::INTEGER) AS anon_1
FROM numbered) AS locations, (SELECT NOT coalesce(bool_and((numbered.n = 1 OR numbered.bytes <= 1000000) AND numbered.n <= $3::INTEGER), true) AS coalesce_1
FROM numbered) AS has_more
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true
