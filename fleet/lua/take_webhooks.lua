-- Deliveries that are due, each with a lease: its time is moved forward, and if nobody settles it
-- until then it is due again.
-- KEYS  1 due (zset)
-- ARGV  1 prefix of job hashes   2 lease ms   3 deliveries at most
-- Returns {now ms, {job id, url, api, status, caller, finished at, number of this try}, ...}. What a
-- call has taken whose answer was lost waits for the end of the lease.
local hooks, found = webhooks_of(KEYS[1]), {now_text}
redis.call('HSET', looked_of(hooks), 'taken_at', now_text)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', hooks, '-inf', now_text, 'LIMIT', 0, ARGV[3])) do
  local job = ARGV[1] .. id
  local record = redis.call('HMGET', job, 'webhook', 'api', 'status', 'caller', 'finished_at', 'webhook_state')
  if record[6] ~= 'pending' or not TERMINAL[record[3]] then
    redis.call('ZREM', hooks, id)
  else
    local attempt = redis.call('HINCRBY', job, 'webhook_attempts', 1)
    local again = text(now + ARGV[2])
    redis.call('ZADD', hooks, again, id)
    redis.call('HSET', job, 'webhook_next_at', again)
    found[#found + 1] = {id, record[1], record[2] or 'jobs', record[3], record[4] or '', record[5], text(attempt)}
  end
end
return found
