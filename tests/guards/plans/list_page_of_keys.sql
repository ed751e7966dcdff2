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
WHERE membership.group_id = $4::UUID)
 SELECT caller.user_id AS caller_user_id, asked.group_id, asked.key_version, asked.rotation_required, asked.is_confirmed, (SELECT json_agg(json_build_object('keyVersion', group_keys.key_version, 'commitment', translate(encode(group_keys.commitment, 'base64'), chr(10), ''), 'statement', CASE WHEN (group_keys.key_version > asked.key_version - 20) THEN translate(encode(group_keys.statement, 'base64'), chr(10), '') END, 'roster', CASE WHEN (group_keys.key_version > asked.key_version - 20 AND group_keys.statement IS NULL) THEN translate(encode(group_keys.roster, 'base64'), chr(10), '') END) ORDER BY group_keys.key_version) AS json_agg_1
FROM group_keys
WHERE group_keys.group_id = asked.group_id AND group_keys.key_version > least(asked.key_version, $3::INTEGER) - 100 AND group_keys.key_version <= least(asked.key_version, $3::INTEGER)) AS versions, (SELECT json_agg(json_build_object('keyVersion', placed.key_version, 'wrappedKey', translate(encode(placed.wrapped_key, 'base64'), chr(10), ''), 'wrapperPublicKey', translate(encode(placed.wrapper_public_key, 'base64'), chr(10), ''), 'wrapperDeviceId', placed.wrapper_device_id, 'former', translate(encode(placed.former, 'base64'), chr(10), '')) ORDER BY placed.key_version, placed.id) AS json_agg_2
FROM (SELECT every.id AS id, every.key_version AS key_version, every.wrapped_key AS wrapped_key, every.wrapper_public_key AS wrapper_public_key, every.wrapper_device_id AS wrapper_device_id, every.former AS former, row_number() OVER (PARTITION BY every.key_version ORDER BY every.id) AS place
FROM (SELECT key_envelopes.id AS id, key_envelopes.key_version AS key_version, key_envelopes.wrapped_key AS wrapped_key, key_envelopes.wrapper_public_key AS wrapper_public_key, key_envelopes.wrapper_device_id AS wrapper_device_id, key_envelopes.former AS former
FROM key_envelopes
WHERE key_envelopes.device_id = (SELECT caller.device_id
FROM caller) AND key_envelopes.group_id = asked.group_id AND key_envelopes.key_version > least(asked.key_version, $3::INTEGER) - 100 AND key_envelopes.key_version <= least(asked.key_version, $3::INTEGER) AND key_envelopes.wrapped_key IS NOT NULL UNION ALL SELECT further_envelopes.id AS id, further_envelopes.key_version AS key_version, further_envelopes.wrapped_key AS wrapped_key, further_envelopes.wrapper_public_key AS wrapper_public_key, further_envelopes.wrapper_device_id AS wrapper_device_id, further_envelopes.former AS former
FROM further_envelopes
WHERE further_envelopes.device_id = (SELECT caller.device_id
FROM caller) AND further_envelopes.group_id = asked.group_id AND further_envelopes.key_version > least(asked.key_version, $3::INTEGER) - 100 AND further_envelopes.key_version <= least(asked.key_version, $3::INTEGER) AND further_envelopes.wrapped_key IS NOT NULL) AS every) AS placed
WHERE placed.place <= 4 OR placed.key_version = asked.key_version) AS envelopes, (SELECT json_agg(json_build_object('keyVersion', entry.key_version, 'rosterEntry', translate(encode(entry.roster_entry, 'base64'), chr(10), ''), 'wrapperDeviceId', entry.wrapper_device_id) ORDER BY entry.id) AS json_agg_3
FROM (SELECT every.id AS id, every.key_version AS key_version, every.roster_entry AS roster_entry, every.wrapper_device_id AS wrapper_device_id
FROM (SELECT key_envelopes.id AS id, key_envelopes.key_version AS key_version, key_envelopes.roster_entry AS roster_entry, key_envelopes.wrapper_device_id AS wrapper_device_id
FROM key_envelopes
WHERE key_envelopes.group_id = asked.group_id AND key_envelopes.key_version > least(asked.key_version, $3::INTEGER) - 100 AND key_envelopes.key_version <= least(asked.key_version, $3::INTEGER) AND key_envelopes.key_version > asked.key_version - 20 AND key_envelopes.roster_entry IS NOT NULL UNION ALL SELECT further_envelopes.id AS id, further_envelopes.key_version AS key_version, further_envelopes.roster_entry AS roster_entry, further_envelopes.wrapper_device_id AS wrapper_device_id
FROM further_envelopes
WHERE further_envelopes.group_id = asked.group_id AND further_envelopes.key_version > least(asked.key_version, $3::INTEGER) - 100 AND further_envelopes.key_version <= least(asked.key_version, $3::INTEGER) AND further_envelopes.key_version > asked.key_version - 20 AND further_envelopes.roster_entry IS NOT NULL) AS every ORDER BY every.id DESC
 LIMIT 50) AS entry) AS roster_entries, asked.browsers, (SELECT json_agg(json_build_object('deviceId', shown.device_id, 'entry', translate(encode(shown.entry, 'base64'), chr(10), ''), 'voucherDeviceId', shown.voucher_device_id) ORDER BY shown.id) AS json_agg_4
FROM (SELECT placed.id AS id, placed.device_id AS device_id, placed.voucher_device_id AS voucher_device_id, placed.entry AS entry, placed.place AS place
FROM (SELECT first.id AS id, first.device_id AS device_id, first.voucher_device_id AS voucher_device_id, first.entry AS entry, row_number() OVER (PARTITION BY first.device_id ORDER BY first.id) AS place
FROM (SELECT DISTINCT ON (vouches.device_id, vouches.voucher_id) vouches.id AS id, vouches.device_id AS device_id, vouches.voucher_device_id AS voucher_device_id, vouches.entry AS entry
FROM vouches
WHERE vouches.group_id = asked.group_id AND vouches.key_version > least(asked.key_version, $3::INTEGER) - 100 AND vouches.key_version <= least(asked.key_version, $3::INTEGER) AND vouches.key_version = asked.key_version ORDER BY vouches.device_id, vouches.voucher_id, vouches.id) AS first) AS placed
WHERE placed.place <= 4 ORDER BY placed.id
 LIMIT 600) AS shown) AS vouches, least(asked.key_version, $3::INTEGER) - 100 AS below
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN asked ON true
