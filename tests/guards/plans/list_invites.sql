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
listed AS
(SELECT invite_codes.id AS id, invite_codes.created_at AS created_at, invite_codes.group_id AS group_id, invite_codes.code_hash AS code_hash, invite_codes.created_by AS created_by, invite_codes.used_by AS used_by, invite_codes.used_by_device_id AS used_by_device_id, invite_codes.used_at AS used_at, invite_codes.join_proof AS join_proof, invite_codes.idempotency_hash AS idempotency_hash, invite_codes.expires_at AS expires_at, invite_codes.revoked_at AS revoked_at, invite_codes.key_package AS key_package, invite_codes.key_version AS key_version, invite_codes.for_creator AS for_creator
FROM invite_codes JOIN membership ON membership.group_id = invite_codes.group_id
WHERE invite_codes.created_by = membership.user_id OR membership.role = 'admin')
 SELECT caller.user_id AS caller_user_id, listed.id, listed.group_id, listed.created_by, listed.created_at, listed.expires_at, listed.used_by, listed.used_at, listed.revoked_at, listed.for_creator AS for_me
FROM (SELECT 1 AS row) AS always LEFT OUTER JOIN caller ON true LEFT OUTER JOIN listed ON true ORDER BY listed.id DESC
