-- The pieces of an answer that have arrived since the last write.
-- KEYS  1 job hash   2 log stream
-- ARGV  1 channel   2 attempt   3 sequence number that the writer expects   4 lease ms
--       5 byte of the server's stream after these pieces   6.. kind, json, ...
-- Whoever follows the job (see `prelude.lua`) gets them too.
-- Returns the next sequence number, or -1 when this attempt may not write (any more).
-- A write that is repeated because its answer was lost changes nothing.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'seq', 'streamed', 'followers')
if record[1] ~= 'running' or record[2] ~= ARGV[2] then
  return -1
end
local expected, count = tonumber(ARGV[3]), (#ARGV - 5) / 2
if record[3] ~= ARGV[3] then
  return tonumber(record[3]) == expected + count and expected + count or -1
end
if ARGV[6] == 'restarted' then
  ARGV[7] = stamped(ARGV[7])
end
local events = {unpack(ARGV, 6)}
local seq = write(KEYS[2], ARGV[1], expected, events)
redis.call('HSET', KEYS[1], 'seq', text(seq), 'lease_until', text(now + ARGV[4]), 'place', ARGV[5])
if record[4] ~= '1' then
  redis.call('HSET', KEYS[1], 'streamed', '1')
  redis.call('HSETNX', KEYS[1], 'first_token_at', now_text)
end
if has_followers(record[5]) then
  for _, id in ipairs(redis.call('LRANGE', followers_of(KEYS[1]), 0, -1)) do
    local follower = neighbour(KEYS[1], id)
    local next_seq = write(follower .. ':log', neighbour(ARGV[1], id), redis.call('HGET', follower, 'seq'), events)
    redis.call('HSET', follower, 'seq', text(next_seq), 'streamed', '1')
    redis.call('HSETNX', follower, 'first_token_at', now_text)
  end
end
return seq
