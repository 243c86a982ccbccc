-- A sign of life of the attempt that runs a job.
-- KEYS  1 job hash   2 holds (zset), where the attempt has set money aside
-- ARGV  1 attempt   2 lease ms   3 ms until that hold runs out   4 its id
-- Returns 1, or 0 when this attempt has lost the job.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt')
if record[1] ~= 'running' or record[2] ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'lease_until', text(now + ARGV[2]))
if KEYS[2] then
  redis.call('ZADD', KEYS[2], 'XX', text(now + ARGV[3]), ARGV[4])
end
return 1
