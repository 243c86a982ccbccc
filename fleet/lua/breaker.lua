-- What is known of a model's server: read, or changed if nobody has changed it since it was read.
-- KEYS  1 breaker (hash)
-- ARGV  1 channel   2 name of this call   3 state as it was read, or ''   4 new state; '': only read
--       5 ttl s
-- Returns {1 if it was changed, the state now or '', now ms}. The channel hears the key and the state.
local held = redis.call('HMGET', KEYS[1], 'state', 'by')
local state = held[1] or ''
if held[2] == ARGV[2] then -- sent a second time: the first one was taken
  return {1, state, now_text}
end
if ARGV[4] == '' or state ~= ARGV[3] then
  return {0, state, now_text}
end
redis.call('HSET', KEYS[1], 'state', ARGV[4], 'by', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[1], KEYS[1] .. ' ' .. ARGV[4])
return {1, ARGV[4], now_text}
