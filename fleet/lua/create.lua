-- A new job: its record, its first event, its place in the index and in the router's line,
-- its message to the router.
-- KEYS  1 job hash   2 log stream   3 jobs index (zset)   4 idempotency string   5 router's queue (list)
--       6 due (zset)   7 the router's line (zset)   8 the caller's bucket
--       9 prefix of the counter of what it has spent; the day is added here
--       10.. the lines of the models that may get it
-- ARGV  1 the order (JSON)   2.. field, value, ...
-- The order: `channel`; `ttl_s` (unended); `index_size`; `retention_ms`;
--   `idempotency`: `job_id body_hash`, or ''; `message`, or '' when the broker is elsewhere;
--   `event`: the queued event; `deadline_s`; `start_timeout_s`, or 0; `caller`; `priority`;
--   `caller_jobs`: unended jobs of one caller, `queue_jobs`: waiting jobs of one line, at most;
--   `rpm`, `tpm`: requests and tokens that the caller has in a minute, or 0; `tokens` of this job;
--   `budget`: 10^-9 US dollars that the caller has in a day, or 0; `free`: models that may answer when
--   these are spent (JSON list), or '' if none may;
--   `too_busy`: refuse it, unless an earlier post has made it;
--   `webhooks` of one caller that are not delivered, at most; 0: this job has none.
-- Returns {1, 0}, {0, stored idempotency value}, and refused:
-- {-1, unended jobs of the caller}, {-2, jobs in the shortest line that is full}, {-3, ms until it
-- may make a request}, {-4, ms until it has the tokens}, {-5, ms until it may spend again},
-- {-6, webhooks of the caller that are not delivered}, {-7, 0} when it is `too_busy`. Behind
-- that stand the requests and tokens that the caller has left. Who is refused is not charged.
-- A client that did not hear the answer sends the same call again.
local order = cjson.decode(ARGV[1])
local rpm, tpm, budget = order.rpm, order.tpm, order.budget
local function told(code, value)
  return {code, value, left(KEYS[8], rpm, tpm)}
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return told(1, 0)
end
if order.idempotency ~= '' then
  local earlier = redis.call('GET', KEYS[4])
  local before = earlier and string.match(earlier, '^%S+')
  if before and redis.call('EXISTS', string.sub(KEYS[1], 1, -#id_of(KEYS[1]) - 1) .. before) == 1 then
    return told(0, earlier)
  end
end
if order.too_busy then
  return told(-7, 0)
end
local unended = tonumber(redis.call('HGET', load_of(KEYS[6]), order.caller) or 0)
if unended >= order.caller_jobs then
  return told(-1, unended)
end
local untold = tonumber(redis.call('HGET', load_of(webhooks_of(KEYS[6])), order.caller) or 0)
if order.webhooks > 0 and untold >= order.webhooks then
  return told(-6, untold)
end
local shortest = redis.call('ZCARD', KEYS[7])
if shortest < order.queue_jobs then
  shortest = nil
  for i = 10, #KEYS do
    local length = redis.call('ZCARD', KEYS[i])
    shortest = math.min(shortest or length, length)
    if length < order.queue_jobs then
      break
    end
  end
end
if shortest and shortest >= order.queue_jobs then
  return told(-2, shortest)
end
local poor = budget > 0 and tonumber(redis.call('GET', today(KEYS[9])) or 0) >= budget
if poor and order.free == '' then
  return told(-5, DAY_MS - now % DAY_MS)
end
local short, wait_ms = charge(KEYS[8], rpm, tpm, order.tokens)
if short then
  return told(short == 'requests' and -3 or -4, wait_ms)
end
if order.idempotency ~= '' then
  redis.call('SET', KEYS[4], order.idempotency, 'PX', order.retention_ms)
end
local deadline = now + order.deadline_s * 1000
local start_by = order.start_timeout_s > 0 and math.min(now + order.start_timeout_s * 1000, deadline) or deadline
local fields = {'status', 'queued', 'created_at', now_text, 'attempt', '0', 'deadline_at', text(deadline),
  'start_by', text(start_by), 'caller', order.caller, 'priority', order.priority, 'waiting', KEYS[7]}
for i = 2, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
local function also(...)
  for _, part in ipairs({...}) do
    fields[#fields + 1] = part
  end
end
if tpm > 0 then
  also('bucket', KEYS[8], 'tpm', order.tpm, 'charged', order.tokens)
end
if poor then
  also('allowed', order.free)
end
also('seq', text(write(KEYS[2], order.channel, 0, {'queued', stamped(order.event)})))
local id = id_of(KEYS[1])
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('EXPIRE', KEYS[1], order.ttl_s)
redis.call('EXPIRE', KEYS[2], order.ttl_s)
redis.call('ZADD', KEYS[3], now_text, id)
redis.call('ZADD', KEYS[6], text(start_by), id)
redis.call('HINCRBY', load_of(KEYS[6]), order.caller, 1)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - order.retention_ms))
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -order.index_size - 1)
join(KEYS[7], id, order.priority, order.caller)
if order.message ~= '' then
  redis.call('LPUSH', KEYS[5], order.message)
end
return told(1, 0)
