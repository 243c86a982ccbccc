-- A running job goes back into a queue: of the next model in its plan, or of its own.
-- KEYS  1 job hash   2 log stream   3 the next model's queue (list)
--       4 due (zset)
-- ARGV  1 channel   2 attempt   3 sequence number that the writer expects   4 message or ''
--       5 event json of kind `routed`   6.. field, value, ...
-- Handing a job over in good order is no claim lost to a crash: `released` counts it.
-- Returns 1, or 0 when this attempt may not (any more).
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'seq', 'deadline_at')
if record[1] ~= 'running' or record[2] ~= ARGV[2] or record[3] ~= ARGV[3] then
  return 0
end
local seq = write(KEYS[2], ARGV[1], tonumber(ARGV[3]), {'routed', stamped(ARGV[5])})
redis.call('HSET', KEYS[1], 'status', 'routed', 'seq', text(seq), 'owner', '', 'lease_until', '0')
redis.call('ZADD', KEYS[4], record[4], id_of(KEYS[1]))
redis.call('HINCRBY', KEYS[1], 'released', 1)
if #ARGV > 5 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 6))
end
if ARGV[4] ~= '' then
  redis.call('LPUSH', KEYS[3], ARGV[4])
  dispatched(KEYS[1], KEYS[4], KEYS[3])
end
return 1
