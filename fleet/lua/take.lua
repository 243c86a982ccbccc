-- A router takes the job whose turn it is; if it does not decide within the lease, another may.
-- KEYS  1 the router's line (zset)   2 due (zset)   3 string that remembers this call
--       4 decision log (stream)
-- ARGV  1 prefix of job hashes   2 prefix of channels   3 lease ms   4 takes at most
--       5 expired event json   6 poisoned event json   7 ttl s (ended)   8 that failure's error json
--       9 entries of the decision log, at most
-- Returns {id, field, value, ...}, or {} when nobody waits. A call that is repeated because its
-- answer was lost gets the same job.
local before = redis.call('GET', KEYS[3])
if before then
  local ours = redis.call('HGET', ARGV[1] .. before, 'status') == 'queued'
  return ours and {record_of(ARGV[1], before)} or {}
end
while true do
  local id = next_in(KEYS[1])
  if not id then
    return {}
  end
  local job = ARGV[1] .. id
  local record = redis.call('HMGET', job, 'status', 'seq', 'start_by', 'takes')
  if record[1] == 'queued' then
    if tonumber(record[3]) <= now then
      close(job, job .. ':log', KEYS[2], ARGV[2] .. id, tonumber(record[2]), 'expired',
        {'expired', stamped(ARGV[5])}, ARGV[7], KEYS[4], ARGV[9])
    elseif tonumber(record[4] or 0) >= tonumber(ARGV[4]) then
      redis.call('HSET', job, 'error', ARGV[8])
      close(job, job .. ':log', KEYS[2], ARGV[2] .. id, tonumber(record[2]), 'failed',
        {'failed', stamped(ARGV[6])}, ARGV[7], KEYS[4], ARGV[9])
    else
      redis.call('HSET', job, 'lease_until', text(now + ARGV[3]), 'takes', text((record[4] or 0) + 1))
      redis.call('ZADD', KEYS[2], text(math.min(now + ARGV[3], tonumber(record[3]))), id)
      redis.call('ZADD', running_of(KEYS[1]), now_text, id)
      redis.call('EXPIRE', running_of(KEYS[1]), ARGV[7])
      redis.call('SET', KEYS[3], id, 'EX', 60)
      return {record_of(ARGV[1], id)}
    end
  end
end
