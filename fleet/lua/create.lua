-- A new job: its record, its first event, its place in the index and in the router's line,
-- its message to the router.
-- KEYS  1 job hash   2 log stream   3 jobs index (zset)   4 idempotency string   5 router's queue (list)
--       6 due (zset)   7 the router's line (zset)   8 the caller's bucket
--       9 prefix of the books of money; the day is added here
--       10.. the lines of the models that may get it
-- ARGV  1 the order (JSON)   2.. kind, json, ... of the events that others have heard already (see
--       `cache`), then field, value, ...
-- The order: `channel`; `ttl_s` (unended); `index_size`; `retention_ms`;
--   `idempotency`: `job_id body_hash`, or ''; `message`, or '' when the broker is elsewhere;
--   `event`: the queued event; `deadline_s`; `start_timeout_s`, or 0; `caller`; `priority`;
--   `caller_jobs`: unended jobs of one caller, `queue_jobs`: waiting jobs of one line, at most;
--   `rpm`, `tpm`: requests and tokens that the caller has in a minute, or 0; `tokens` of this job;
--   `budget`: 10^-9 US dollars that the caller has in a day, `paid_calls`: calls that cost some, or 0;
--   `free`: models that may answer when these are spent (JSON list), or '' if none may; `offset_ms` of the
--   time zone whose days count;
--   `if_busy`: what it does where it would wait, or '';
--   `too_busy`: refuse it, unless an earlier post has made it, or its answer comes from elsewhere;
--   `webhooks` of one caller that are not delivered, at most; 0: this job has none;
--   `cache`, where the answer may be given again: the `key` of its entry; `ttl_s` of an entry; `never`:
--   routes of which none is made, as `,a,b,`; `followers` of one job, at most; the `source` that has the
--   answer, or the `leader` that is giving it, or ''; `events`: values that tell it, which cover `seen`
--   events of the leader's log; `ended_s`: ttl of a job that has ended; `decisions`: the decision log,
--   and `log_size`: its entries, at most.
-- Returns {1, 0}, {0, stored idempotency value}, and refused:
-- {-1, unended jobs of the caller}, {-2, jobs in the shortest line that is full}, {-3, ms until it may
-- make a request}, {-4, ms until it has the tokens}, {-5, now ms} when its money is spent,
-- {-6, webhooks of the caller that are not delivered}, {-7, now ms} when its calls are, {-8, 0} when it
-- is `too_busy`.
-- Behind that stand the requests and tokens that the caller has left, and where the answer comes from
-- (`hit`, `shared`, or ''). Who is refused is not charged. A hit needs no room and no money.
-- A client that did not hear the answer sends the same call again.
local order = cjson.decode(ARGV[1])
local rpm, tpm, budget, cache = order.rpm, order.tpm, order.budget, order.cache
local function told(code, value, job)
  local requests, tokens = left(KEYS[8], rpm, tpm)
  return {code, value, requests, tokens, job and redis.call('HGET', job, 'cache') or ''}
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return told(1, 0, KEYS[1])
end
if order.idempotency ~= '' then
  local earlier = redis.call('GET', KEYS[4])
  local before = earlier and string.match(earlier, '^%S+')
  if before and redis.call('EXISTS', neighbour(KEYS[1], before)) == 1 then
    return told(0, earlier, neighbour(KEYS[1], before))
  end
end
-- Somebody may have deleted the source since its answer was read.
local source = cache and cache.source ~= '' and redis.call('GET', cache.key) == cache.source
  and redis.call('EXISTS', neighbour(KEYS[1], cache.source)) == 1 and neighbour(KEYS[1], cache.source)
-- A job is followed by those that would not come before it, nor go elsewhere where it waits, as long
-- as few enough do and what they have missed is soon told. Where keys share answers, none follows another
-- one's job that may spend only so much: it would fail for what is not its own.
local TOLD_MOST = 500
local leader, seen
if cache and not source then
  local flight = redis.call('GET', flight_of(cache.key))
  local lead = flight and neighbour(KEYS[1], flight)
  local record = lead and redis.call('HMGET', lead, 'status', 'priority', 'followers', 'seq', 'if_busy',
    'caller', 'budget_usd', 'paid_calls') or {}
  seen = flight == cache.leader and cache.seen or 0
  if record[1] and not TERMINAL[record[1]] and tonumber(record[3] or 0) < cache.followers
    and (record[1] == 'running'
      or (tonumber(record[2]) <= order.priority and (record[5] or '') == order.if_busy))
    and (record[6] == order.caller or not (record[7] or record[8]))
    and tonumber(record[4]) - seen <= TOLD_MOST then
    leader = lead
  end
end
if order.too_busy and not source and not leader then
  return told(-8, 0)
end
local unended = tonumber(redis.call('HGET', load_of(KEYS[6]), order.caller) or 0)
if unended >= order.caller_jobs and not source then
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
if shortest and shortest >= order.queue_jobs and not source and not leader then
  return told(-2, shortest)
end
local poor
if budget > 0 or order.paid_calls > 0 then
  local scope = 'caller:' .. order.caller
  local spent = redis.call('HMGET', KEYS[9] .. day_number(order.offset_ms), scope .. ':calls', scope .. ':nano',
    scope .. ':held')
  if budget > 0 and tonumber(spent[2] or 0) + tonumber(spent[3] or 0) >= budget then
    poor = -5
  elseif order.paid_calls > 0 and tonumber(spent[1] or 0) >= order.paid_calls then
    poor = -7
  end
end
if poor and order.free == '' and not source then
  return told(poor, now)
end
local tokens = source and 0 or order.tokens
local short, wait_ms = charge(KEYS[8], rpm, tpm, tokens)
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
local heard = {}
for i = 2, 1 + (cache and cache.events or 0), 2 do
  heard[#heard + 1] = ARGV[i]
  heard[#heard + 1] = source and ARGV[i] ~= 'token' and stamped(ARGV[i + 1]) or ARGV[i + 1]
end
for i = 2 + #heard, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
local function also(...)
  for _, part in ipairs({...}) do
    fields[#fields + 1] = part
  end
end
if tpm > 0 then
  also('bucket', KEYS[8], 'tpm', order.tpm, 'charged', tokens)
end
if poor then
  also('allowed', order.free)
end
if cache then
  also('cache_key', cache.key, 'cache_s', cache.ttl_s, 'cache_never', cache.never)
end
if source then
  also('cache', 'hit', 'cost_usd', '0', 'streamed', '1', 'first_token_at', now_text,
    unpack(copied(source, {'usage', unpack(WAY)})))
end
local seq = write(KEYS[2], order.channel, 0, {'queued', stamped(order.event)})
local id = id_of(KEYS[1])
redis.call('HSET', KEYS[1], 'seq', text(seq), unpack(fields))
redis.call('EXPIRE', KEYS[1], order.ttl_s)
redis.call('EXPIRE', KEYS[2], order.ttl_s)
redis.call('ZADD', KEYS[3], now_text, id)
redis.call('ZADD', KEYS[6], text(start_by), id)
redis.call('HINCRBY', load_of(KEYS[6]), order.caller, 1)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - order.retention_ms))
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -order.index_size - 1)
if source then
  close(KEYS[1], KEYS[2], KEYS[6], order.channel, seq, 'completed', heard, cache.ended_s, cache.decisions,
    cache.log_size)
  return told(1, 0, KEYS[1])
end
if leader then
  if seen == 0 then
    heard = {}
  end
  for _, entry in ipairs(redis.call('XRANGE', leader .. ':log', text(math.max(seen, 1)), '+')) do
    heard[#heard + 1] = entry[2][2]
    heard[#heard + 1] = entry[2][4]
  end
  if #heard > 0 then
    seq = write(KEYS[2], order.channel, seq, heard)
  end
  redis.call('HSET', KEYS[1], 'seq', text(seq), 'cache', 'shared', 'leader', id_of(leader),
    unpack(copied(leader, STANDING)))
  redis.call('HDEL', KEYS[1], 'predicted_wait_ms') -- of a line in which it does not stand
  local begun = redis.call('HMGET', KEYS[1], 'begun', 'streamed')
  if begun[2] == '1' then
    redis.call('HSET', KEYS[1], 'first_token_at', now_text)
  end
  watch(KEYS[6], KEYS[1], text(deadline), text(start_by), begun[1] == '1')
  redis.call('RPUSH', followers_of(leader), id)
  redis.call('EXPIRE', followers_of(leader), order.ttl_s)
  redis.call('HINCRBY', leader, 'followers', 1)
  return told(1, 0, KEYS[1])
end
if cache then
  redis.call('SET', flight_of(cache.key), id, 'EX', order.ttl_s)
end
join(KEYS[7], id, order.priority, order.caller)
if order.message ~= '' then
  redis.call('LPUSH', KEYS[5], order.message)
end
return told(1, 0)
