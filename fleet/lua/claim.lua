-- A worker takes a job: the next attempt, the lease, the `started` event.
-- KEYS  1 job hash   2 log stream   3 due (zset)
-- ARGV  1 channel   2 model   3 owner   4 lease ms   5 max attempts
--       6 started event json   7 restarted event json   8 expired event json
--       9 poisoned event json   10 ttl s (ended)   11 that failure's error json
-- An owner that claims its own job again did not hear the answer to its first claim.
-- Returns {'taken', now ms, field, value, ...}, or {why not, now ms}: 'gone', 'ended', 'elsewhere',
-- 'leased', 'expired', 'poisoned'.
local record = redis.call('HMGET', KEYS[1], 'status', 'model', 'lease_until', 'attempt', 'seq', 'streamed',
  'deadline_at', 'released', 'owner')
local status = record[1]
if not status then
  return {'gone', now_text}
end
if TERMINAL[status] then
  return {'ended', now_text}
end
if record[2] ~= ARGV[2] then
  return {'elsewhere', now_text}
end
if status == 'running' and tonumber(record[3] or 0) > now and record[9] ~= ARGV[3] then
  return {'leased', now_text}
end
local attempt, seq = tonumber(record[4]) + 1, tonumber(record[5])
if tonumber(record[7]) <= now then
  close(KEYS[1], KEYS[2], KEYS[3], ARGV[1], seq, 'expired', {'expired', stamped(ARGV[8])}, ARGV[10])
  return {'expired', now_text}
end
if attempt - tonumber(record[8] or 0) > tonumber(ARGV[5]) then
  close(KEYS[1], KEYS[2], KEYS[3], ARGV[1], seq, 'failed', {'failed', stamped(ARGV[9])}, ARGV[10])
  redis.call('HSET', KEYS[1], 'error', ARGV[11])
  return {'poisoned', now_text}
end
local events = {}
if record[6] == '1' then
  local why = redis.call('HGET', KEYS[1], 'restart_reason') or '"the worker before was lost"'
  events = {'restarted', '{"reason":' .. why .. ',' .. string.sub(stamped(ARGV[7]), 2)}
end
events[#events + 1] = 'started'
events[#events + 1] = '{"attempt":' .. text(attempt) .. ',' .. string.sub(stamped(ARGV[6]), 2)
seq = write(KEYS[2], ARGV[1], seq, events)
redis.call('HSET', KEYS[1], 'status', 'running', 'attempt', text(attempt), 'owner', ARGV[3],
  'lease_until', text(now + ARGV[4]), 'seq', text(seq), 'streamed', '0')
redis.call('HSETNX', KEYS[1], 'started_at', now_text)
redis.call('ZREM', messages_of(KEYS[3]), id_of(KEYS[1]))
redis.call('ZADD', KEYS[3], text(math.min(now + ARGV[4], tonumber(record[7]))), id_of(KEYS[1]))
return {'taken', now_text, unpack(redis.call('HGETALL', KEYS[1]))}
