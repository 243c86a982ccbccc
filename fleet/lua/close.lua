-- The end of a job by somebody who does not run it: cancelled, expired, not routable.
-- KEYS  1 job hash   2 log stream   3 due (zset)   4 decision log (stream)
-- ARGV  1 channel   2 cancels channel   3 status   4 event json   5 ttl s (ended)
--       6 1 to end it only past its deadline (or past the time to begin it), else 0
--       7 statuses it may have, as `,a,b,` (`lost`: running, with a lease that has run out)
--       8 entries of the decision log, at most   9.. field, value, ...
-- Returns {1 when this call ended it else 0, status now, and where another job took its place: its id,
-- model and priority}, or {-1, ''} when there is no such job.
local record = redis.call('HMGET', KEYS[1], 'status', 'seq', 'deadline_at', 'start_by', 'begun', 'generation', 'leader',
  'lease_until')
local status = record[1]
if not status then
  return {-1, ''}
end
local lost = status == 'running' and not record[7] and tonumber(record[8]) <= now
local allowed = string.find(ARGV[7], ',' .. status .. ',', 1, true)
  or (lost and string.find(ARGV[7], ',lost,', 1, true))
local latest = tonumber(record[5] == '1' and record[3] or record[4])
if not allowed or (ARGV[6] == '1' and latest > now) then
  return {0, status}
end
if #ARGV > 8 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 9))
end
local heir, model = close(KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(record[2]), ARGV[3],
  {ARGV[3], stamped(ARGV[4])}, ARGV[5], KEYS[4], ARGV[8])
if (status == 'running' and not record[7]) or (record[6] and record[6] ~= '') then
  redis.call('PUBLISH', ARGV[2], id_of(KEYS[1]))
end
return {1, ARGV[3], heir_of(KEYS[1], heir, model)}
