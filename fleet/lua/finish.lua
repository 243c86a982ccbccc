-- The end of a job by the attempt that ran it: last events, terminal event, record; and who has
-- answered, for the next turn of the conversation.
-- KEYS  1 job hash   2 log stream   3 due (zset)   4 what a job of each model takes (hash)
--       5 decision log (stream)   6 memory of the conversation (hash)
-- ARGV  1 the order (JSON)   2.. kind, json, ... of the events, then field, value, ...
-- The order: `channel`; `attempt`, and `seq` that the writer expects, as text; `status`; `ttl_s` (ended);
--   `model`; `log_size`: entries of the decision log, at most; `memory_s`: ttl of the memory, or 0;
--   `events`: values that the events take
-- Returns 1 when this call (or its first try) ended the job, else 0.
local order = cjson.decode(ARGV[1])
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'seq', 'waiting')
local expected = tonumber(order.seq)
if record[2] ~= order.attempt then
  return 0
end
if record[1] ~= 'running' then
  return record[1] == order.status and tonumber(record[3]) == expected + order.events / 2 and 1 or 0
end
if record[3] ~= order.seq then
  return 0
end
local events = {}
for i = 2, 1 + order.events, 2 do
  events[#events + 1] = ARGV[i]
  events[#events + 1] = stamped(ARGV[i + 1])
end
if #ARGV > 1 + order.events then
  redis.call('HSET', KEYS[1], unpack(ARGV, 2 + order.events))
end
local claimed = redis.call('ZSCORE', running_of(record[4]), id_of(KEYS[1]))
close(KEYS[1], KEYS[2], KEYS[3], order.channel, expected, order.status, events, order.ttl_s, KEYS[5],
  order.log_size)
if order.status ~= 'failed' and order.memory_s > 0 and redis.call('EXISTS', KEYS[6]) == 1 then
  redis.call('HSET', KEYS[6], 'model', order.model)
  redis.call('EXPIRE', KEYS[6], order.memory_s)
end
-- What a job of this model takes, in ms from its claim by the worker that answered: mean and variance
-- over about the last thirty, and how many there were. The first few weigh alike, so that the very
-- first one is not taken for all of them. What failed says nothing of that.
local LAST = 32
if claimed and order.status ~= 'failed' then
  local took = now - tonumber(claimed)
  local known = redis.call('HGET', KEYS[4], order.model) or '0 0 0'
  local mean, variance, count = string.match(known, '^(%S+) (%S+) (%S+)$')
  count = count + 1
  local weight, off = 1 / math.min(count, LAST), took - mean
  redis.call('HSET', KEYS[4], order.model, string.format('%.1f %.1f %.0f', mean + weight * off,
    (1 - weight) * (variance + weight * off * off), count))
end
return 1
