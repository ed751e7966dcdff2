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
 SELECT caller.user_id AS caller_user_id, asked.group_id, asked.key_version, asked.rotation_required, asked.is_confirmed, (SELECT json_agg(json_build_object('keyVersion', group_keys.key_version, 'commitment', translate(encode(group_keys.commitment, 'base64'), chr(10), ''), 'roster', CASE WHEN (group_keys.key_version > asked.key_version - 20) THEN translate(encode(group_keys.roster, 'base64'), chr(10), '') END) ORDER BY group_keys.key_version) AS json_agg_1
FROM group_keys
WHERE group_keys.group_id = asked.group_id AND group_keys.key_version > asked.key_version - 5000 AND group_keys.key_version <= asked.key_version) AS versions, (SELECT json_agg(json_build_object('keyVersion', shown.key_version, 'wrappedKey', translate(encode(shown.wrapped_key, 'base64'), chr(10), ''), 'wrapperPublicKey', translate(encode(shown.wrapper_public_key, 'base64'), chr(10), ''), 'wrapperDeviceId', shown.wrapper_device_id) ORDER BY shown.key_version, shown.id) AS json_agg_2
FROM (SELECT key_envelopes.id AS id, key_envelopes.key_version AS key_version, key_envelopes.wrapped_key AS wrapped_key, key_envelopes.wrapper_public_key AS wrapper_public_key, key_envelopes.wrapper_device_id AS wrapper_device_id, key_envelopes.former AS former
FROM key_envelopes
WHERE key_envelopes.device_id = (SELECT caller.device_id
FROM caller) AND key_envelopes.group_id = asked.group_id AND key_envelopes.key_version > asked.key_version - 5000 AND key_envelopes.key_version <= asked.key_version AND key_envelopes.wrapped_key IS NOT NULL) AS shown) AS envelopes, (SELECT json_agg(json_build_object('keyVersion', entry.key_version, 'rosterEntry', translate(encode(entry.roster_entry, 'base64'), chr(10), ''), 'wrapperDeviceId', entry.wrapper_device_id) ORDER BY entry.id) AS json_agg_3
FROM (SELECT every.id AS id, every.key_version AS key_version, every.roster_entry AS roster_entry, every.wrapper_device_id AS wrapper_device_id
FROM (SELECT key_envelopes.id AS id, key_envelopes.key_version AS key_version, key_envelopes.roster_entry AS roster_entry, key_envelopes.wrapper_device_id AS wrapper_device_id
FROM key_envelopes
WHERE key_envelopes.group_id = asked.group_id AND key_envelopes.key_version > asked.key_version - 5000 AND key_envelopes.key_version <= asked.key_version AND key_envelopes.key_version > asked.key_version - 20 AND key_envelopes.roster_entry IS NOT NULL UNION ALL SELECT further_envelopes.id AS id, further_envelopes.key_version AS key_version, further_envelopes.roster_entry AS roster_entry, further_envelopes.wrapper_device_id AS wrapper_device_id
FROM further_envelopes
WHERE further_envelopes.group_id = asked.group_id AND further_envelopes.key_version > asked.key_version - 5000 AND further_envelopes.key_version <= asked.key_version AND further_envelopes.key_version > asked.key_version - 20 AND further_envelopes.roster_entry IS NOT NULL) AS every ORDER BY every.id DESC
 LIMIT 100) AS entry) AS roster_entries
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN asked ON true
