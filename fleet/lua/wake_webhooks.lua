-- A delivery that is due and that no message has been sent for lately.
-- KEYS  1 due (zset)   2.. the lists of the deliveries' queue, where they are here
-- ARGV  1 ms after which a message from which nothing came is taken for lost   2 messages to keep in
--       a list that nobody reads
-- Returns the job's id, and notes that a message is sent; or ''.
local hooks = webhooks_of(KEYS[1])
local first = redis.call('ZRANGEBYSCORE', hooks, '-inf', now_text, 'LIMIT', 0, 1)[1]
if not first then
  if redis.call('EXISTS', hooks) == 0 then
    redis.call('DEL', load_of(hooks)) -- nobody has one; what records that vanished have left
  end
  return ''
end
for i = 2, #KEYS do
  if redis.call('LLEN', KEYS[i]) > 0 then
    redis.call('LTRIM', KEYS[i], 0, ARGV[2] - 1)
    return ''
  end
end
local seen = redis.call('HMGET', looked_of(hooks), 'woken_at', 'taken_at')
local woken, taken = tonumber(seen[1] or 0), tonumber(seen[2] or 0)
if woken > taken and woken > now - ARGV[1] then
  return ''
end
redis.call('HSET', looked_of(hooks), 'woken_at', now_text)
return first
