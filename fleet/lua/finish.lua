-- The end of a job by the attempt that ran it: last events, terminal event, record.
-- KEYS  1 job hash   2 log stream   3 due (zset)
-- ARGV  1 channel   2 attempt   3 sequence number that the writer expects   4 status
--       5 ttl s (ended)   6 number of events   7.. kind, json, ... then field, value, ...
-- Returns 1 when this call (or its first try) ended the job, else 0.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'seq')
local expected, count = tonumber(ARGV[3]), tonumber(ARGV[6])
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
for i = 7, 6 + 2 * count, 2 do
  events[#events + 1] = ARGV[i]
  events[#events + 1] = stamped(ARGV[i + 1])
end
if #ARGV > 6 + 2 * count then
  redis.call('HSET', KEYS[1], unpack(ARGV, 7 + 2 * count))
end
close(KEYS[1], KEYS[2], KEYS[3], ARGV[1], expected, ARGV[4], events, ARGV[5])
return 1
