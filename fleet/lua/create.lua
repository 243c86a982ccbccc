-- A new job: its record, its first event, its place in the index, its message to the router.
-- KEYS  1 job hash   2 log stream   3 jobs index (zset)   4 idempotency string   5 router's queue (list)
--       6 due (zset)
-- ARGV  1 channel   2 ttl s (unended)   3 index size   4 retention ms
--       5 idempotency value `job_id body_hash`, or ''   6 message, or '' when the broker is elsewhere
--       7 queued event json   8 deadline s   9.. field, value, ...
-- Returns {1, jobs ahead in the router's queue}, or {0, stored idempotency value}.
-- A client that did not hear the answer sends the same call again.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {1, 0}
end
if ARGV[5] ~= '' then
  local earlier = redis.call('GET', KEYS[4])
  if earlier then
    return {0, earlier}
  end
  redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[4])
end
local fields = {'status', 'queued', 'created_at', now_text, 'attempt', '0',
  'deadline_at', text(now + ARGV[8] * 1000)}
for i = 9, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
local seq = write(KEYS[2], ARGV[1], 0, {'queued', stamped(ARGV[7])})
fields[#fields + 1] = 'seq'
fields[#fields + 1] = text(seq)
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[3], now_text, id_of(KEYS[1]))
redis.call('ZADD', KEYS[6], text(now + ARGV[8] * 1000), id_of(KEYS[1]))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - ARGV[4]))
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -ARGV[3] - 1)
local ahead = redis.call('LLEN', KEYS[5])
if ARGV[6] ~= '' then
  redis.call('LPUSH', KEYS[5], ARGV[6])
  dispatched(KEYS[1], KEYS[6], KEYS[5])
end
return {1, ahead}
