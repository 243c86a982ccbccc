-- A new job: its record, its first event, its place in the index and in the router's line,
-- its message to the router.
-- KEYS  1 job hash   2 log stream   3 jobs index (zset)   4 idempotency string   5 router's queue (list)
--       6 due (zset)   7 the router's line (zset)   8 the caller's bucket
--       9 prefix of the counter of what it has spent; the day is added here
--       10.. the lines of the models that may get it
-- ARGV  1 channel   2 ttl s (unended)   3 index size   4 retention ms
--       5 idempotency value `job_id body_hash`, or ''   6 message, or '' when the broker is elsewhere
--       7 queued event json   8 deadline s   9 start timeout s, or 0   10 caller   11 priority
--       12 unended jobs of one caller, at most   13 waiting jobs of one line, at most
--       14 requests and 15 tokens that the caller has in a minute, or 0   16 tokens of this job
--       17 10^-9 US dollars that the caller has in a day, or 0   18 models that may answer when
--       these are spent (JSON list), or '' if none may
--       19 webhooks of one caller that are not delivered, at most; 0: this job has none
--       20.. field, value, ...
-- Returns {1, jobs ahead in the router's line}, {0, stored idempotency value}, and refused:
-- {-1, unended jobs of the caller}, {-2, jobs in the shortest line that is full}, {-3, ms until it
-- may make a request}, {-4, ms until it has the tokens}, {-5, ms until it may spend again},
-- {-6, webhooks of the caller that are not delivered}. Behind
-- that stand the requests and tokens that the caller has left. Who is refused is not charged.
-- A client that did not hear the answer sends the same call again.
local rpm, tpm, budget = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[17])
local function told(code, value)
  return {code, value, left(KEYS[8], rpm, tpm)}
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return told(1, 0)
end
if ARGV[5] ~= '' then
  local earlier = redis.call('GET', KEYS[4])
  local before = earlier and string.match(earlier, '^%S+')
  if before and redis.call('EXISTS', string.sub(KEYS[1], 1, -#id_of(KEYS[1]) - 1) .. before) == 1 then
    return told(0, earlier)
  end
end
local unended = tonumber(redis.call('HGET', load_of(KEYS[6]), ARGV[10]) or 0)
if unended >= tonumber(ARGV[12]) then
  return told(-1, unended)
end
local untold = tonumber(redis.call('HGET', load_of(webhooks_of(KEYS[6])), ARGV[10]) or 0)
if tonumber(ARGV[19]) > 0 and untold >= tonumber(ARGV[19]) then
  return told(-6, untold)
end
local ahead = redis.call('ZCARD', KEYS[7])
local shortest = ahead
if ahead < tonumber(ARGV[13]) then
  shortest = nil
  for i = 10, #KEYS do
    local length = redis.call('ZCARD', KEYS[i])
    shortest = math.min(shortest or length, length)
    if length < tonumber(ARGV[13]) then
      break
    end
  end
end
if shortest and shortest >= tonumber(ARGV[13]) then
  return told(-2, shortest)
end
local poor = budget > 0 and tonumber(redis.call('GET', today(KEYS[9])) or 0) >= budget
if poor and ARGV[18] == '' then
  return told(-5, DAY_MS - now % DAY_MS)
end
local short, wait_ms = charge(KEYS[8], rpm, tpm, tonumber(ARGV[16]))
if short then
  return told(short == 'requests' and -3 or -4, wait_ms)
end
if ARGV[5] ~= '' then
  redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[4])
end
local deadline = now + ARGV[8] * 1000
local start_by = tonumber(ARGV[9]) > 0 and math.min(now + ARGV[9] * 1000, deadline) or deadline
local fields = {'status', 'queued', 'created_at', now_text, 'attempt', '0', 'deadline_at', text(deadline),
  'start_by', text(start_by), 'caller', ARGV[10], 'priority', ARGV[11], 'waiting', KEYS[7]}
for i = 20, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
local function also(...)
  for _, part in ipairs({...}) do
    fields[#fields + 1] = part
  end
end
if tpm > 0 then
  also('bucket', KEYS[8], 'tpm', ARGV[15], 'charged', ARGV[16])
end
if poor then
  also('allowed', ARGV[18])
end
also('seq', text(write(KEYS[2], ARGV[1], 0, {'queued', stamped(ARGV[7])})))
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
return told(1, ahead)
