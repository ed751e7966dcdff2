WITH taken_0 AS
(INSERT INTO rate_limits (bucket, theoretical_arrival_at) SELECT $1::VARCHAR AS anon_1, CAST(now() + $2::INTERVAL AS TIMESTAMP WITH TIME ZONE) AS anon_2 ON CONFLICT (bucket) DO UPDATE SET theoretical_arrival_at = (greatest(rate_limits.theoretical_arrival_at, now()) + $2::INTERVAL) WHERE greatest(rate_limits.theoretical_arrival_at, now()) + $2::INTERVAL <= now() + $3::INTERVAL RETURNING rate_limits.bucket)
 SELECT EXISTS (SELECT taken_0.bucket
FROM taken_0) AS admitted_0, EXTRACT(epoch FROM (((SELECT rate_limits.theoretical_arrival_at
FROM rate_limits
WHERE rate_limits.bucket = $1::VARCHAR) + $2::INTERVAL) - $3::INTERVAL) - now()) AS wait_0
