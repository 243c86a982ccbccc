-- Jobs for which something is due: a lease that has run out, a deadline, a lost message.
-- `due` holds every job that has not ended, with the time at which to look at it next.
-- KEYS  1 due (zset)
-- ARGV  1 prefix of job hashes   2 jobs looked at, at most   3 ms until a job that is
--       reported is looked at again
-- Returns a flat list: job id, what is due (`lost` worker, `late`, or
-- the status `queued` or `routed` of one without a message), model, attempt, priority, ...
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_text, 'LIMIT', 0, ARGV[2])) do
  local record = redis.call('HMGET', ARGV[1] .. id, 'status', 'lease_until', 'deadline_at', 'model',
    'attempt', 'priority')
  local status, lease, deadline = record[1], tonumber(record[2] or 0), tonumber(record[3] or 0)
  if not status or TERMINAL[status] then
    redis.call('ZREM', KEYS[1], id)
  else
    local what, again = 'late', now + ARGV[3]
    if deadline > now then
      what = status == 'running' and lease <= now and 'lost'
      again = what and again or math.min(status == 'running' and lease or deadline, deadline)
    end
    redis.call('ZADD', KEYS[1], text(again), id)
    if what then
      for _, value in ipairs({id, what, record[4] or '', record[5], record[6]}) do
        found[#found + 1] = value
      end
    end
  end
end

-- A queue is first in, first out: if its oldest message is of a job that was sent later than
-- this one (or there is none), this one's message is lost. Looks at few; each look waits as
-- long again as the job has waited, so a deep queue is not asked about in vain.
local waiting = redis.call('ZRANGEBYSCORE', messages_of(KEYS[1]), '-inf', now_text, 'LIMIT', 0, 50)
for _, id in ipairs(waiting) do
  local record = redis.call('HMGET', ARGV[1] .. id, 'status', 'list', 'dispatched_at', 'model',
    'attempt', 'priority')
  local status, sent = record[1], tonumber(record[3] or 0)
  if status ~= 'queued' and status ~= 'routed' then
    redis.call('ZREM', messages_of(KEYS[1]), id)
  else
    local oldest = redis.call('LINDEX', record[2], -1)
    local owner = oldest and string.match(oldest, 'job_%x+')
    local its = owner and tonumber(redis.call('HGET', ARGV[1] .. owner, 'dispatched_at') or 0)
    if not oldest or (its and its > sent) then
      for _, value in ipairs({id, status, record[4] or '', record[5], record[6]}) do
        found[#found + 1] = value
      end
      dispatched(ARGV[1] .. id, KEYS[1], record[2])
    else
      redis.call('ZADD', messages_of(KEYS[1]), text(now + math.max(GRACE_MS, now - sent)), id)
    end
  end
end
return found
