-- The router's decision: the plan, its event, the place in the model's line, the message; what is
-- noted and remembered of it.
-- KEYS  1 job hash   2 log stream   3 the model's queue (list)   4 due (zset)   5 the model's line (zset)
--       6 decision log (stream)   7 memory of the conversation (hash)
--       8 how the last decisions spread (hash)
-- ARGV  1 channel   2 message or ''   3 routed event json   4 waiting jobs of one line, at most
--       5 the decision's json   6 entries of the decision log, at most   7 ttl s of the memory, or 0
--       8 turns for which the route was held   9.. field, value, ...
-- Returns 1, 0 when the job is not `queued` any more, -1 when its time is over, -2 when the line is full.

-- Counts where a job goes, by what it asked for; old counts fade, so that the last few hundred weigh.
local SPREAD_MOST = 256
local function spread(mix, job)
  local told = redis.call('HMGET', job, 'asked_model', 'model')
  redis.call('HINCRBY', mix, told[1] .. ':' .. told[2], 1)
  if redis.call('HINCRBY', mix, 'all', 1) < SPREAD_MOST then
    return
  end
  local counts = redis.call('HGETALL', mix)
  redis.call('DEL', mix)
  for i = 1, #counts, 2 do
    if tonumber(counts[i + 1]) > 1 then
      redis.call('HSET', mix, counts[i], math.floor(counts[i + 1] / 2))
    end
  end
end

local record = redis.call('HMGET', KEYS[1], 'status', 'seq', 'start_by', 'priority', 'caller', 'waiting', 'followers')
if record[1] ~= 'queued' then
  return 0
end
if tonumber(record[3]) <= now then
  return -1
end
if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[4]) then
  return -2
end
leave(record[6], id_of(KEYS[1])) -- a router that was only late; the reaper had put it back
redis.call('ZREM', running_of(record[6]), id_of(KEYS[1]))
local routed = {'routed', stamped(ARGV[3])}
local seq = write(KEYS[2], ARGV[1], tonumber(record[2]), routed)
redis.call('HSET', KEYS[1], 'status', 'routed', 'routed_at', now_text, 'seq', text(seq),
  'lease_until', '0', 'waiting', KEYS[5], unpack(ARGV, 9))
redis.call('ZADD', KEYS[4], record[3], id_of(KEYS[1]))
if has_followers(record[7]) then
  tell_followers(KEYS[1], KEYS[4], ARGV[1], routed)
end
join(KEYS[5], id_of(KEYS[1]), record[4], record[5])
if ARGV[2] ~= '' then
  redis.call('LPUSH', KEYS[3], ARGV[2])
end
note(KEYS[6], ARGV[6], 'decision', stamped(ARGV[5]))
spread(KEYS[8], KEYS[1])
if tonumber(ARGV[7]) > 0 then
  local told = redis.call('HMGET', KEYS[1], 'route', 'model', 'confidence')
  redis.call('HSET', KEYS[7], 'route', told[1], 'model', told[2], 'confidence', told[3],
    'held', ARGV[8], 'at', now_text)
  redis.call('EXPIRE', KEYS[7], ARGV[7])
end
return 1
