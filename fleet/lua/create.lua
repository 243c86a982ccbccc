-- A new job: its record, its first event, its place in the index and in the router's line,
-- its message to the router.
-- KEYS  1 job hash   2 log stream   3 jobs index (zset)   4 idempotency string   5 router's queue (list)
--       6 due (zset)   7 the router's line (zset)   8.. the lines of the models that may get it
-- ARGV  1 channel   2 ttl s (unended)   3 index size   4 retention ms
--       5 idempotency value `job_id body_hash`, or ''   6 message, or '' when the broker is elsewhere
--       7 queued event json   8 deadline s   9 start timeout s, or 0   10 caller   11 priority
--       12 unended jobs of one caller, at most   13 waiting jobs of one line, at most
--       14.. field, value, ...
-- Returns {1, jobs ahead in the router's line}, {0, stored idempotency value}, and refused:
-- {-1, unended jobs of the caller}, {-2, jobs in the shortest line that is full}.
-- A client that did not hear the answer sends the same call again.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {1, 0}
end
if ARGV[5] ~= '' then
  local earlier = redis.call('GET', KEYS[4])
  local before = earlier and string.match(earlier, '^%S+')
  if before and redis.call('EXISTS', string.sub(KEYS[1], 1, -#id_of(KEYS[1]) - 1) .. before) == 1 then
    return {0, earlier}
  end
end
local unended = tonumber(redis.call('HGET', load_of(KEYS[6]), ARGV[10]) or 0)
if unended >= tonumber(ARGV[12]) then
  return {-1, unended}
end
local ahead = redis.call('ZCARD', KEYS[7])
local shortest = ahead
if ahead < tonumber(ARGV[13]) then
  shortest = nil
  for i = 8, #KEYS do
    local length = redis.call('ZCARD', KEYS[i])
    shortest = math.min(shortest or length, length)
    if length < tonumber(ARGV[13]) then
      break
    end
  end
end
if shortest and shortest >= tonumber(ARGV[13]) then
  return {-2, shortest}
end
if ARGV[5] ~= '' then
  redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[4])
end
local deadline = now + ARGV[8] * 1000
local start_by = tonumber(ARGV[9]) > 0 and math.min(now + ARGV[9] * 1000, deadline) or deadline
local fields = {'status', 'queued', 'created_at', now_text, 'attempt', '0', 'deadline_at', text(deadline),
  'start_by', text(start_by), 'caller', ARGV[10], 'priority', ARGV[11], 'waiting', KEYS[7]}
for i = 14, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
local seq = write(KEYS[2], ARGV[1], 0, {'queued', stamped(ARGV[7])})
fields[#fields + 1] = 'seq'
fields[#fields + 1] = text(seq)
local id = id_of(KEYS[1])
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[3], now_text, id)
redis.call('ZADD', KEYS[6], text(start_by), id)
redis.call('HINCRBY', load_of(KEYS[6]), ARGV[10], 1)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - ARGV[4]))
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -ARGV[3] - 1)
join(KEYS[7], id, ARGV[11], ARGV[10])
if ARGV[6] ~= '' then
  redis.call('LPUSH', KEYS[5], ARGV[6])
end
return {1, ahead}
