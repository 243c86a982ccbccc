-- The router's decision: the plan, its event, the message to the first model's queue.
-- KEYS  1 job hash   2 log stream   3 the model's queue (list)   4 due (zset)
-- ARGV  1 channel   2 message or ''   3 routed event json   4.. field, value, ...
-- Returns 1, 0 when the job is not `queued` any more, -1 when its deadline has passed.
local record = redis.call('HMGET', KEYS[1], 'status', 'seq', 'deadline_at')
if record[1] ~= 'queued' then
  return 0
end
if tonumber(record[3]) <= now then
  return -1
end
local seq = tonumber(record[2])
seq = write(KEYS[2], ARGV[1], seq, {'routed', stamped(ARGV[3])})
redis.call('HSET', KEYS[1], 'status', 'routed', 'routed_at', now_text, 'seq', text(seq), unpack(ARGV, 4))
if ARGV[2] ~= '' then
  redis.call('LPUSH', KEYS[3], ARGV[2])
  dispatched(KEYS[1], KEYS[4], KEYS[3])
end
return 1
