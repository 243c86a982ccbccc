-- The model is asked anew: what its server kept of an earlier generation is not this job's any more.
-- KEYS  1 job hash   2 generations of the worker's server (set)
-- ARGV  1 attempt   2 name of the new generation   3 ttl s of that set
-- Returns 1, or 0 when this attempt has lost the job.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt')
if record[1] ~= 'running' or record[2] ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'place', '0')
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
