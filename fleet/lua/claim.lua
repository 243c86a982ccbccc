-- A worker takes the job whose turn it is: the next attempt, the lease, the `started` event.
-- KEYS  1 the model's line (zset)   2 due (zset)   3 string that remembers this call
--       4 generations of the worker's server (set)   5 decision log (stream)
-- ARGV  1 prefix of job hashes   2 prefix of channels   3 owner   4 lease ms   5 max attempts
--       6 started event json   7 expired event json   8 poisoned event json   9 ttl s (ended)
--       10 that failure's error json   11 the worker's server, or '' if it cannot resume
--       12 entries of the decision log, at most
-- A lost attempt's generation stays the job's where the server is the same: its answer may go on.
-- Returns {now ms, id, field, value, ...}, or {} when nobody waits. A call that is repeated because
-- its answer was lost gets the same job.
local before = redis.call('GET', KEYS[3])
if before then
  local record = redis.call('HMGET', ARGV[1] .. before, 'status', 'owner', 'claim')
  local ours = record[1] == 'running' and record[2] == ARGV[3] and record[3] == KEYS[3]
  return ours and {now_text, record_of(ARGV[1], before)} or {}
end
while true do
  local id = next_in(KEYS[1])
  if not id then
    return {}
  end
  local job = ARGV[1] .. id
  local record = redis.call('HMGET', job, 'status', 'lease_until', 'attempt', 'seq', 'deadline_at', 'released',
    'server', 'generation', 'start_by', 'begun', 'followers')
  local status, attempt = record[1], tonumber(record[3] or 0) + 1
  if status == 'routed' or (status == 'running' and tonumber(record[2]) <= now) then
    local log, channel, seq = job .. ':log', ARGV[2] .. id, tonumber(record[4])
    local latest = tonumber(record[10] == '1' and record[5] or record[9])
    if latest <= now then
      close(job, log, KEYS[2], channel, seq, 'expired', {'expired', stamped(ARGV[7])}, ARGV[9], KEYS[5], ARGV[12])
    elseif attempt - tonumber(record[6] or 0) > tonumber(ARGV[5]) then
      redis.call('HSET', job, 'error', ARGV[10])
      close(job, log, KEYS[2], channel, seq, 'failed', {'failed', stamped(ARGV[8])}, ARGV[9], KEYS[5], ARGV[12])
    else
      local started = '{"attempt":' .. text(attempt) .. ',' .. string.sub(stamped(ARGV[6]), 2)
      seq = write(log, channel, seq, {'started', started})
      redis.call('HSET', job, 'status', 'running', 'attempt', text(attempt), 'owner', ARGV[3], 'claim', KEYS[3],
        'lease_until', text(now + ARGV[4]), 'seq', text(seq), 'begun', '1')
      redis.call('HSETNX', job, 'started_at', now_text)
      redis.call('ZADD', KEYS[2], text(math.min(now + ARGV[4], tonumber(record[5]))), id)
      redis.call('ZADD', running_of(KEYS[1]), now_text, id)
      redis.call('EXPIRE', running_of(KEYS[1]), ARGV[9])
      redis.call('SET', KEYS[3], id, 'EX', 60)
      if ARGV[11] == '' or not record[8] or record[8] == '' or record[7] ~= ARGV[11] then
        local fresh = ARGV[11] ~= '' and id .. '.' .. text(attempt) or ''
        redis.call('HSET', job, 'server', ARGV[11], 'generation', fresh, 'place', '0')
        if fresh ~= '' then
          redis.call('SADD', KEYS[4], fresh)
          redis.call('EXPIRE', KEYS[4], ARGV[9])
        end
      end
      if has_followers(record[11]) then
        tell_followers(job, KEYS[2], channel, {'started', started})
      end
      return {now_text, record_of(ARGV[1], id)}
    end
  elseif status == 'running' then -- its worker was only late, and has it again
    redis.call('ZADD', KEYS[2], text(math.min(tonumber(record[2]), tonumber(record[5]))), id)
  end
end
