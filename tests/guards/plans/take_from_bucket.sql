WITH taken_0 AS
(INSERT INTO rate_limits (bucket, theoretical_arrival_at) SELECT $2::VARCHAR AS anon_1, CAST(now() + $3::INTERVAL AS TIMESTAMP WITH TIME ZONE) AS anon_2 ON CONFLICT (bucket) DO UPDATE SET theoretical_arrival_at = CASE WHEN (greatest(rate_limits.theoretical_arrival_at, now()) + $3::INTERVAL <= now() + $1::INTERVAL) THEN greatest(rate_limits.theoretical_arrival_at, now()) + $3::INTERVAL ELSE now() + $1::INTERVAL + interval '1 microsecond' END WHERE greatest(rate_limits.theoretical_arrival_at, now()) + $3::INTERVAL <= now() + $1::INTERVAL OR rate_limits.theoretical_arrival_at > now() + $1::INTERVAL RETURNING rate_limits.bucket, rate_limits.theoretical_arrival_at <= now() + $1::INTERVAL AS is_admitted)
 SELECT EXISTS (SELECT taken_0.bucket
FROM taken_0
WHERE taken_0.is_admitted) AS admitted_0, EXTRACT(epoch FROM ((least((SELECT rate_limits.theoretical_arrival_at
FROM rate_limits
WHERE rate_limits.bucket = $2::VARCHAR), now() + $1::INTERVAL) + $3::INTERVAL) - $1::INTERVAL) - now()) AS wait_0
