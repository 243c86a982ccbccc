-- A running job goes back into a line: of the next model in its plan, or of its own; at once, or
-- after a pause.
-- KEYS  1 job hash   2 log stream   3 the next model's queue (list)   4 due (zset)
--       5 the next model's line (zset)
-- ARGV  1 channel   2 attempt   3 sequence number that the writer expects   4 message or ''
--       5 event json of kind `routed`   6 ms until it may be tried again, or 0
--       7 1 if this attempt does not count   8.. field, value, ...
-- Returns 1, or 0 when this attempt may not (any more).
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'seq', 'deadline_at', 'priority', 'caller',
  'waiting', 'created_at', 'start_by', 'followers')
if record[1] ~= 'running' or record[2] ~= ARGV[2] or record[3] ~= ARGV[3] then
  return 0
end
local id = id_of(KEYS[1])
leave(record[7], id) -- a worker that was only late; the reaper had put it back
redis.call('ZREM', running_of(record[7]), id)
local routed = {'routed', stamped(ARGV[5])}
local seq = write(KEYS[2], ARGV[1], tonumber(ARGV[3]), routed)
redis.call('HSET', KEYS[1], 'status', 'routed', 'seq', text(seq), 'owner', '', 'lease_until', '0',
  'waiting', KEYS[5])
if ARGV[7] == '1' then
  redis.call('HINCRBY', KEYS[1], 'released', 1)
end
if #ARGV > 7 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 8))
end
local begun = redis.call('HGET', KEYS[1], 'begun') == '1'
redis.call('ZADD', KEYS[4], begun and record[4] or record[9], id)
if has_followers(record[10]) then
  tell_followers(KEYS[1], KEYS[4], ARGV[1], routed)
end
if tonumber(ARGV[6]) > 0 then
  redis.call('ZADD', later_of(KEYS[4]), text(now + ARGV[6]), id)
  return 1
end
if KEYS[5] == record[7] then
  rejoin(KEYS[5], id, record[5], tonumber(record[8]))
else
  join(KEYS[5], id, record[5], record[6])
end
if ARGV[4] ~= '' then
  redis.call('LPUSH', KEYS[3], ARGV[4])
end
return 1
