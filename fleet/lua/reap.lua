-- Jobs for which something is due: a lease that has run out, a deadline, a next try, a lost message.
-- `due` holds every job that has not ended, with the time at which to look at it next.
-- Beside it stands when somebody looked last.
-- KEYS  1 due (zset)   2.. the lines (zsets)
-- ARGV  1 prefix of job hashes   2 jobs looked at, at most   3 ms until a job that is reported is
--       looked at again   4 ms that a line may have more jobs than messages
--       5 1 if the queues are lists here, else 0   6.. four lists for each line
-- Returns a flat list: job id, what is due (`late`: end it; `wake`: send a message to its line; `odd`:
-- its record is none), model ('' before it is routed), attempt, priority, ...
local UNSEEN_MS, SPARED_MS, SPARE_MOST = 2000, 2500, 1000
local found = {}
local function report(id, what, model, attempt, priority)
  for _, value in ipairs({id, what, model or '', attempt or '0', priority or '0'}) do
    found[#found + 1] = value
  end
end

-- Somebody looks all the time; if nobody has, Redis was away, and whoever holds a lease could
-- not renew it: such leases run on for a while.
local looked = redis.call('HMGET', looked_of(KEYS[1]), 'at', 'spared_until')
local spared_until = tonumber(looked[2] or 0)
if looked[1] and now - tonumber(looked[1]) > UNSEEN_MS then
  spared_until = now + SPARED_MS
end
redis.call('HSET', looked_of(KEYS[1]), 'at', now_text, 'spared_until', text(spared_until))

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_text, 'LIMIT', 0, ARGV[2])) do
  local record = redis.call('HMGET', ARGV[1] .. id, 'status', 'lease_until', 'deadline_at', 'model',
    'attempt', 'priority', 'begun', 'waiting', 'start_by', 'created_at')
  local status, lease = record[1], tonumber(record[2] or 0)
  if not status or TERMINAL[status] then
    redis.call('ZREM', KEYS[1], id)
  else
    local latest = tonumber(record[7] == '1' and record[3] or record[9] or record[3])
    local again = latest
    if not record[8] then
      again = now + ARGV[3]
      report(id, 'odd')
    elseif latest <= now then
      again = now + ARGV[3]
      report(id, 'late')
    elseif lease > now or (lease > 0 and spared_until > now) then
      again = math.min(math.max(lease, spared_until), latest)
    elseif lease > 0 and not redis.call('ZSCORE', record[8], id) then
      redis.call('ZREM', running_of(record[8]), id)
      rejoin(record[8], id, record[6], tonumber(record[10]))
      report(id, 'wake', record[4], record[5], record[6])
    end
    redis.call('ZADD', KEYS[1], text(again), id)
  end
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', load_of(KEYS[1])) -- nobody has a job; what records that vanished have left
end

local later = later_of(KEYS[1])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', now_text, 'LIMIT', 0, ARGV[2])) do
  local record = redis.call('HMGET', ARGV[1] .. id, 'status', 'model', 'attempt', 'priority', 'caller', 'waiting')
  redis.call('ZREM', later, id)
  if record[1] == 'routed' then
    join(record[6], id, record[4], record[5])
    report(id, 'wake', record[2], record[3], record[4])
  end
end

-- A message wakes a worker, whichever job it names; so a line needs as many messages as it has jobs.
-- Some are always on their way: one that lacks some for long has lost them. Where the queues cannot
-- be counted, a line from which nobody takes gets as many as it has jobs.
for i = 2, #KEYS do
  local jobs = redis.call('ZCARD', KEYS[i])
  local lacks = jobs
  if ARGV[5] == '1' then
    for list = 4 * i - 2, 4 * i + 1 do
      lacks = lacks - redis.call('LLEN', ARGV[list])
    end
    for list = 4 * i - 2, 4 * i + 1 do -- of jobs that have ended in line, with nobody to read them
      if lacks < -SPARE_MOST then
        lacks = lacks + #(redis.call('RPOP', ARGV[list], text(-lacks)) or {})
      end
    end
  end
  if jobs > 0 then
    if ARGV[5] ~= '1' and tonumber(redis.call('HGET', turns_of(KEYS[i]), 'taken_at') or 0) > now - ARGV[4] then
      lacks = 0
    end
    local since = redis.call('HGET', turns_of(KEYS[i]), 'lacks_since')
    if lacks <= 0 then
      redis.call('HDEL', turns_of(KEYS[i]), 'lacks_since')
    elseif not since then
      redis.call('HSET', turns_of(KEYS[i]), 'lacks_since', now_text)
    elseif tonumber(since) <= now - ARGV[4] then
      redis.call('HSET', turns_of(KEYS[i]), 'lacks_since', now_text)
      for _, id in ipairs(redis.call('ZRANGE', KEYS[i], 0, math.min(lacks, tonumber(ARGV[2])) - 1)) do
        local record = redis.call('HMGET', ARGV[1] .. id, 'model', 'attempt', 'priority')
        report(id, 'wake', record[1], record[2], record[3])
      end
    end
  end
end
return found
