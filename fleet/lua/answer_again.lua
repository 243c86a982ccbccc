-- A job that a router has taken gets the answer of another one, whose question is alike.
-- KEYS  1 job hash   2 log stream   3 due (zset)   4 decision log (stream)
-- ARGV  1 the order (JSON)   2.. kind, json, ... of the events that tell the answer: `routed` first,
--       the terminal one last
-- The order: `channel`; `source`: id of the other job; `similarity`, as text; `reasons` (JSON list);
--   `ttl_s` (ended); `log_size`: entries of the decision log, at most
-- Returns 1 when this call (or its first try) ended the job, 0 when it is not `queued` any more, -1 when
-- the other job's answer may not be given again (any more), or this one's time is over.
local order = cjson.decode(ARGV[1])
local record = redis.call('HMGET', KEYS[1], 'status', 'seq', 'start_by', 'waiting', 'similar_to', 'followers')
if record[1] ~= 'queued' then
  return record[5] == order.source and 1 or 0
end
local source = neighbour(KEYS[1], order.source)
local entry = redis.call('HGET', source, 'cache_key')
if not entry or redis.call('GET', entry) ~= order.source or tonumber(record[3]) <= now then
  return -1
end
leave(record[4], id_of(KEYS[1])) -- a router that was only late; the reaper had put it back
local routed, rest = {ARGV[2], stamped(ARGV[3])}, {}
for i = 4, #ARGV, 2 do
  rest[#rest + 1] = ARGV[i]
  rest[#rest + 1] = ARGV[i] == 'token' and ARGV[i + 1] or stamped(ARGV[i + 1])
end
redis.call('HSET', KEYS[1], 'routed_at', now_text, 'first_token_at', now_text, 'streamed', '1', 'cost_usd', '0',
  unpack(copied(source, {'usage', unpack(WAY)})))
redis.call('HSET', KEYS[1], 'cache', 'semantic', 'similar_to', order.source, 'similarity', order.similarity,
  'reasons', order.reasons)
local seq = write(KEYS[2], order.channel, tonumber(record[2]), routed)
if has_followers(record[6]) then
  tell_followers(KEYS[1], KEYS[3], order.channel, routed)
end
close(KEYS[1], KEYS[2], KEYS[3], order.channel, seq, 'completed', rest, order.ttl_s, KEYS[4], order.log_size)
return 1
