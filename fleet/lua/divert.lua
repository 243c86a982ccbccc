-- A job that nobody runs goes from the line of one model to the line of another of its plan.
-- KEYS  1 job hash   2 log stream   3 the other model's queue (list)   4 due (zset)
--       5 the other model's line (zset)   6 the line where it stands (zset)
-- ARGV  1 order json: channel, seq (number that was read of its next event), message or '', event
--       json of kind `routed`, room (jobs of one line, at most)   2.. field, value, ...
-- A job whose worker is lost stands in line as well; it is nobody's then.
-- Returns 1; 0 when it does not stand there as it was read (any more); -1 when the other line is full.
local order = cjson.decode(ARGV[1])
local id = id_of(KEYS[1])
local record = redis.call('HMGET', KEYS[1], 'status', 'seq', 'waiting', 'lease_until', 'begun', 'deadline_at',
  'start_by', 'priority', 'caller', 'followers')
local free = record[1] == 'routed' or (record[1] == 'running' and tonumber(record[4]) <= now)
if not free or record[2] ~= order.seq or record[3] ~= KEYS[6] or not redis.call('ZSCORE', KEYS[6], id) then
  return 0
end
if redis.call('ZCARD', KEYS[5]) >= order.room then
  return -1
end
leave(KEYS[6], id)
redis.call('ZREM', running_of(KEYS[6]), id)
local routed = {'routed', stamped(order.event)}
local seq = write(KEYS[2], order.channel, tonumber(record[2]), routed)
redis.call('HSET', KEYS[1], 'status', 'routed', 'seq', text(seq), 'owner', '', 'lease_until', '0',
  'waiting', KEYS[5], unpack(ARGV, 2))
redis.call('ZADD', KEYS[4], record[5] == '1' and record[6] or record[7], id)
if has_followers(record[10]) then
  tell_followers(KEYS[1], KEYS[4], order.channel, routed)
end
join(KEYS[5], id, record[8], record[9])
if order.message ~= '' then
  redis.call('LPUSH', KEYS[3], order.message)
end
return 1
