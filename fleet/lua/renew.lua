-- A sign of life of the attempt that runs a job.
-- KEYS  1 job hash   2 holds (zset), where the attempt has set money aside   3 prefix of the books of money
-- ARGV  1 attempt   2 lease ms   3 ms until that hold runs out   4 its id
-- A hold that has run out although its attempt lives (Redis was away) is set aside again.
-- Returns 1, or 0 when this attempt has lost the job.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt')
if record[1] ~= 'running' or record[2] ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'lease_until', text(now + ARGV[2]))
if KEYS[2] then
  local hold = redis.call('HMGET', hold_of(KEYS[2], ARGV[4]), 'state', 'day', 'nano', 'scopes')
  if hold[1] == 'expired' then
    enter(KEYS[3] .. hold[2], cjson.decode(hold[4]), 'held', tonumber(hold[3]))
    redis.call('HSET', hold_of(KEYS[2], ARGV[4]), 'state', 'held')
  end
  if hold[1] == 'expired' or hold[1] == 'held' then
    redis.call('ZADD', KEYS[2], text(now + ARGV[3]), ARGV[4])
  end
end
return 1
