-- The end of a job by the attempt that ran it: last events, terminal event, record; and who has
-- answered, for the next turn of the conversation.
-- KEYS  1 job hash   2 log stream   3 due (zset)   4 pace of each model (hash)   5 decision log (stream)
--       6 memory of the conversation (hash)   7 prefix of the counter of what the caller has spent
-- ARGV  1 channel   2 attempt   3 sequence number that the writer expects   4 status
--       5 ttl s (ended)   6 model   7 entries of the decision log, at most   8 ttl s of the memory, or 0
--       9 what it cost, in 10^-9 US dollars   10 number of events   11.. kind, json, ... then
--       field, value, ...
-- Returns 1 when this call (or its first try) ended the job, else 0.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'seq', 'started_at')
local expected, count = tonumber(ARGV[3]), tonumber(ARGV[10])
if record[2] ~= ARGV[2] then
  return 0
end
if record[1] ~= 'running' then
  return record[1] == ARGV[4] and tonumber(record[3]) == expected + count and 1 or 0
end
if record[3] ~= ARGV[3] then
  return 0
end
local events = {}
for i = 11, 10 + 2 * count, 2 do
  events[#events + 1] = ARGV[i]
  events[#events + 1] = stamped(ARGV[i + 1])
end
if #ARGV > 10 + 2 * count then
  redis.call('HSET', KEYS[1], unpack(ARGV, 11 + 2 * count))
end
if ARGV[9] ~= '0' then
  redis.call('INCRBY', today(KEYS[7]), ARGV[9])
  redis.call('EXPIRE', today(KEYS[7]), 172800)
end
close(KEYS[1], KEYS[2], KEYS[3], ARGV[1], expected, ARGV[4], events, ARGV[5], KEYS[5], ARGV[7])
if ARGV[4] ~= 'failed' and tonumber(ARGV[8]) > 0 and redis.call('EXISTS', KEYS[6]) == 1 then
  redis.call('HSET', KEYS[6], 'model', ARGV[6])
  redis.call('EXPIRE', KEYS[6], ARGV[8])
end
-- How long a job of this model takes, in ms: a moving average over about the last ten.
local took = now - tonumber(record[4])
local usual = tonumber(redis.call('HGET', KEYS[4], ARGV[6]) or took)
redis.call('HSET', KEYS[4], ARGV[6], text(usual + (took - usual) / 10))
return 1
