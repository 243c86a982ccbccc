-- Somebody wants a delivery to be tried now, also one that was given up or has been made.
-- KEYS  1 job hash   2 due (zset)   3 deliveries that were given up (zset)
-- Returns 1, 0 when the job has not ended, -1 when it is not there or has no webhook.
local record = redis.call('HMGET', KEYS[1], 'webhook', 'status', 'webhook_state', 'caller', 'webhook_keep_s')
if not record[1] then
  return -1
elseif not TERMINAL[record[2]] then
  return 0
end
local hooks, id = webhooks_of(KEYS[2]), id_of(KEYS[1])
if record[3] ~= 'pending' then
  redis.call('HINCRBY', load_of(hooks), record[4], 1)
  redis.call('HSET', KEYS[1], 'webhook_state', 'pending', 'webhook_attempts', '0')
  redis.call('EXPIRE', KEYS[1], record[5])
  redis.call('EXPIRE', KEYS[1] .. ':log', record[5])
end
redis.call('ZREM', KEYS[3], id)
redis.call('ZADD', hooks, now_text, id)
redis.call('HSET', KEYS[1], 'webhook_next_at', now_text)
return 1
