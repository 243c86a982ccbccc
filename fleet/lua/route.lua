-- The router's decision: the plan, its event, the place in the first model's line, the message.
-- KEYS  1 job hash   2 log stream   3 the model's queue (list)   4 due (zset)   5 the model's line (zset)
-- ARGV  1 channel   2 message or ''   3 routed event json   4 waiting jobs of one line, at most
--       5.. field, value, ...
-- Returns 1, 0 when the job is not `queued` any more, -1 when its time is over, -2 when the line is full.
local record = redis.call('HMGET', KEYS[1], 'status', 'seq', 'start_by', 'priority', 'caller', 'waiting')
if record[1] ~= 'queued' then
  return 0
end
if tonumber(record[3]) <= now then
  return -1
end
if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[4]) then
  return -2
end
leave(record[6], id_of(KEYS[1])) -- a router that was only late; the reaper had put it back
local seq = write(KEYS[2], ARGV[1], tonumber(record[2]), {'routed', stamped(ARGV[3])})
redis.call('HSET', KEYS[1], 'status', 'routed', 'routed_at', now_text, 'seq', text(seq),
  'lease_until', '0', 'waiting', KEYS[5], unpack(ARGV, 5))
redis.call('ZADD', KEYS[4], record[3], id_of(KEYS[1]))
join(KEYS[5], id_of(KEYS[1]), record[4], record[5])
if ARGV[2] ~= '' then
  redis.call('LPUSH', KEYS[3], ARGV[2])
end
return 1
