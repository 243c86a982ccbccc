-- What came of one try of a delivery: it is over, or there will be another one.
-- KEYS  1 job hash   2 due (zset)   3 deliveries that were given up (zset)
-- ARGV  1 number of the try   2 delivered, failed (given up), pending (try again) or postponed (try
--       again; this one was none)   3 ms until the next try   4 status of the answer, or 0   5 error, or ''
--       6 deliveries to remember that were given up   7 seconds that a record stays after it, if not less
-- Returns 1, or 0 when another try has the say. A success counts whichever try had it.
local record = redis.call('HMGET', KEYS[1], 'webhook_attempts', 'webhook_state', 'caller', 'webhook_ttl', 'finished_at')
if record[2] ~= 'pending' or (record[1] ~= ARGV[1] and ARGV[2] ~= 'delivered') then
  return 0
end
local hooks, id, again = webhooks_of(KEYS[2]), id_of(KEYS[1]), text(now + ARGV[3])
if ARGV[2] == 'postponed' or ARGV[2] == 'pending' then
  redis.call('ZADD', hooks, again, id)
  redis.call('HSET', KEYS[1], 'webhook_next_at', again)
  if ARGV[2] == 'postponed' then
    redis.call('HINCRBY', KEYS[1], 'webhook_attempts', -1)
  else
    redis.call('HSET', KEYS[1], 'webhook_status', ARGV[4], 'webhook_error', ARGV[5])
  end
  return 1
end
drop_webhook(KEYS[2], id, record[3])
redis.call('HSET', KEYS[1], 'webhook_state', ARGV[2], 'webhook_status', ARGV[4], 'webhook_error', ARGV[5],
  'webhook_next_at', '0')
if ARGV[2] == 'failed' then
  redis.call('ZADD', KEYS[3], now_text, id)
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -ARGV[6] - 1)
end
local ttl_s = tonumber(record[4])
local left_s = ttl_s - math.floor((now - record[5]) / 1000)
left_s = text(math.max(left_s, math.min(ttl_s, ARGV[7])))
redis.call('EXPIRE', KEYS[1], left_s)
redis.call('EXPIRE', KEYS[1] .. ':log', left_s)
return 1
