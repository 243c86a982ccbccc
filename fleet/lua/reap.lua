-- Jobs for which something is due: a lease that has run out, or a deadline.
-- `due` holds every job that has not ended, with the time at which to look at it next.
-- KEYS  1 due (zset)
-- ARGV  1 prefix of job hashes   2 jobs looked at, at most   3 ms until a job that is
--       reported is looked at again
-- Returns a flat list: job id, what is due (`lost` or `late`), model, attempt, priority, ...
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
return found
