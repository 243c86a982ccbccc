-- Shared by every script of this folder. Each script states the keys it touches.
--
-- A job's hash holds `status`, `attempt` (the fencing token) and `seq` (the next
-- sequence number). Redis' own TIME is the only clock. A state change, its event
-- and its announcement happen in the same script, so no reader sees one without
-- the others.

local TERMINAL = {completed = true, failed = true, cancelled = true, expired = true, incomplete = true}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_text = string.format('%.0f', now)

local function text(number)
  return string.format('%.0f', number)
end

local function id_of(job)
  return string.match(job, '[^:]+$')
end

-- Beside a job or its channel: another job's.
local function neighbour(name, id)
  return string.sub(name, 1, -#id_of(name) - 1) .. id
end

-- Jobs that ask the same as one that is under way follow it: what its log says, theirs say too, with
-- numbers of their own, and they stand in no line. The leader's record counts them (`followers`), a
-- list beside it names them, each of theirs names it (`leader`).
local function followers_of(job)
  return job .. ':followers'
end

local function has_followers(count)
  return count and count ~= '0'
end

-- Lifecycle events carry the time of their writing.
local function stamped(json)
  return '{"at":' .. now_text .. ',' .. string.sub(json, 2)
end

-- Append `events` ({kind, json, kind, json, ...}) to the log from number `seq` on,
-- announce them in one message, return the next number. The caller stores it.
local function write(log, channel, seq, events)
  local lines = {}
  for i = 1, #events, 2 do
    local number = string.format('%.0f', seq)
    redis.call('XADD', log, number .. '-1', 'k', events[i], 'd', events[i + 1])
    lines[#lines + 1] = number .. ' ' .. events[i] .. ' ' .. events[i + 1]
    seq = seq + 1
  end
  redis.call('PUBLISH', channel, table.concat(lines, '\n'))
  return seq
end

-- Beside `due`: jobs that wait for a next try, by its time; jobs of each caller that have not ended;
-- when a reaper has looked.
local function later_of(due)
  return due .. ':later'
end

local function load_of(due)
  return due .. ':load'
end

local function looked_of(due)
  return due .. ':looked'
end

-- Jobs whose end a webhook has yet to be told, by the time of the next try; beside it, how many each
-- caller has (`load_of`), and when a deliverer was woken and has taken some (`looked_of`).
local function webhooks_of(due)
  return due .. ':webhooks'
end

-- A queue's jobs stand in a zset in the order in which they will be served: by priority, and
-- within one by turns. A caller's next job has the turn after its last one, but none before the
-- present one; so who comes with one job stands before another's second, however many those are.
-- (Start-time fair queueing with jobs of equal length: Goyal, Vin, Cheng, 1996.)
-- `turns` holds for a priority the present turn, and for each caller its last.
local ROOM = 17592186044416 -- 2^44 places in each priority: the lower half for its front
local FRONT = ROOM / 2

local function turns_of(waiting)
  return waiting .. ':turns'
end

-- The turn of a caller's next job there, and the score with which it stands in line.
local function next_turn(waiting, priority, caller)
  local seen = redis.call('HMGET', turns_of(waiting), priority, priority .. ':' .. caller)
  local turn = math.max(tonumber(seen[1] or 0), tonumber(seen[2] or 0) + 1)
  return turn, text(priority * ROOM + FRONT + turn)
end

local function join(waiting, id, priority, caller)
  local turn, score = next_turn(waiting, priority, caller)
  redis.call('HSET', turns_of(waiting), priority .. ':' .. caller, text(turn))
  redis.call('ZADD', waiting, score, id)
end

-- A job whose turn it has been already comes to the front, the oldest first.
local function rejoin(waiting, id, priority, created_at)
  redis.call('ZADD', waiting, text(priority * ROOM + math.min(created_at, FRONT - 1)), id)
end

-- Beside a line: the jobs that its workers (or routers) have, each with the time of its claim.
local function running_of(waiting)
  return waiting .. ':running'
end

local function tidy(waiting)
  if redis.call('EXISTS', waiting) == 0 then
    redis.call('DEL', turns_of(waiting))
  end
end

-- A job stands in no line any more: somebody else has it, or it goes elsewhere.
local function leave(waiting, id)
  if redis.call('ZREM', waiting, id) == 1 then
    tidy(waiting)
  end
end

-- Takes the job whose turn it is out of the line; nil when nobody stands there.
local function next_in(waiting)
  local first = redis.call('ZPOPMIN', waiting)
  if not first[1] then
    return nil
  end
  local score = tonumber(first[2])
  local priority = math.floor(score / ROOM)
  local over = {'taken_at', now_text}
  local turn = score - priority * ROOM - FRONT
  if turn >= 0 then
    over[3], over[4] = text(priority), text(turn)
  end
  redis.call('HSET', turns_of(waiting), unpack(over))
  tidy(waiting)
  return first[1]
end

-- What a call that takes a job has taken, as its caller reads it.
local function record_of(prefix, id)
  return id, unpack(redis.call('HGETALL', prefix .. id))
end

-- An entry of the decision log, which keeps about `most`; 0: none is written.
local function note(decisions, most, kind, json)
  if tonumber(most) > 0 then
    redis.call('XADD', decisions, 'MAXLEN', '~', most, '*', 'k', kind, 'd', json)
  end
end

local function decoded(json)
  local well, value = pcall(cjson.decode, json or '')
  return well and type(value) == 'table' and value or {}
end

-- A count as JSON can say it: what is none, or what no server can mean, is null.
local function whole(count)
  count = tonumber(count)
  return count and count >= 0 and count < 2^46 and math.floor(count) or cjson.null
end

local function named(value)
  return value and value ~= '' and value or cjson.null
end

-- What became of a job, for the decision log.
local function outcome(job, status)
  local record = redis.call('HMGET', job, 'created_at', 'started_at', 'first_token_at', 'model', 'route',
    'attempt', 'tried', 'usage', 'experiment', 'arm', 'cost_usd', 'cache', 'predicted_wait_ms')
  local created, usage = tonumber(record[1]), decoded(record[8])
  local function after(at)
    return whole(created and tonumber(at) and at - created)
  end
  return cjson.encode({job = id_of(job), at = now, status = status, model = named(record[4]),
    route = named(record[5]), wait_ms = after(record[2]), first_token_ms = after(record[3]),
    total_ms = after(now), prompt_tokens = whole(usage.prompt_tokens),
    completion_tokens = whole(usage.completion_tokens), attempt = whole(record[6]),
    failed_over = #decoded(record[7]), experiment = named(record[9]), arm = named(record[10]),
    cost_usd = tonumber(record[11]) or cjson.null, cache = named(record[12]),
    predicted_wait_ms = whole(record[13])})
end

-- Somebody wants to hear of the end: a delivery is due now, with a message where its queue is a list
-- here. Gives the seconds for which the record is kept: no try may find it gone.
local function announce(job, due, caller, ttl_s)
  local hook = redis.call('HMGET', job, 'webhook', 'webhook_keep_s', 'webhook_list', 'webhook_message')
  if not hook[1] then
    return ttl_s
  end
  redis.call('ZADD', webhooks_of(due), now_text, id_of(job))
  redis.call('HINCRBY', load_of(webhooks_of(due)), caller, 1)
  redis.call('HSET', job, 'webhook_ttl', ttl_s, 'webhook_next_at', now_text)
  if hook[4] ~= '' then
    redis.call('LPUSH', hook[3], hook[4])
  end
  redis.call('HDEL', job, 'webhook_list', 'webhook_message')
  return math.max(ttl_s, hook[2])
end

-- A delivery is due no more, and counts for its caller no more.
local function drop_webhook(due, id, caller)
  local hooks = webhooks_of(due)
  if redis.call('ZREM', hooks, id) == 1 and redis.call('HINCRBY', load_of(hooks), caller, -1) <= 0 then
    redis.call('HDEL', load_of(hooks), caller)
  end
end

-- A caller's requests and tokens: two buckets, each of which holds what a minute allows and fills
-- up again in one, continuously. Who has no bucket has a full one.
local MINUTE_MS = 60000
local BUCKET_TTL_S = 120 -- by then it is full again, even out of the deepest debt

local function level(bucket, what, limit)
  local held = redis.call('HMGET', bucket, what, what .. '_at')
  if not held[1] then
    return limit
  end
  local since = math.max(0, now - tonumber(held[2]))
  return math.min(limit, tonumber(held[1]) + limit * since / MINUTE_MS)
end

local function fill(bucket, what, amount)
  redis.call('HSET', bucket, what, string.format('%.17g', amount), what .. '_at', now_text)
  redis.call('EXPIRE', bucket, BUCKET_TTL_S)
end

-- What is left of both, in whole ones.
local function left(bucket, rpm, tpm)
  return math.floor(level(bucket, 'requests', rpm)), math.floor(level(bucket, 'tokens', tpm))
end

-- Takes one request and its tokens; if either bucket holds too little, nothing. A limit of 0 is none.
-- Returns which of them has too little, and the ms until it will not.
local function charge(bucket, rpm, tpm, tokens)
  local requests, held = level(bucket, 'requests', rpm), level(bucket, 'tokens', tpm)
  if rpm > 0 and requests < 1 then
    return 'requests', math.ceil((1 - requests) * MINUTE_MS / rpm)
  end
  if tpm > 0 and held < tokens then
    return 'tokens', math.ceil((tokens - held) * MINUTE_MS / tpm)
  end
  if rpm > 0 then
    fill(bucket, 'requests', requests - 1)
  end
  if tpm > 0 then
    fill(bucket, 'tokens', held - tokens)
  end
end

-- At a job's end: what it was charged and has not used is given back; what it has used beyond that
-- is taken, up to a minute's worth. A job that spoke and was broken off has used nobody knows how
-- much: nothing is given back.
local function settle(job)
  local record = redis.call('HMGET', job, 'bucket', 'tpm', 'charged', 'usage', 'first_token_at', 'cache')
  if not record[1] then
    return
  end
  local tpm, charged, usage = tonumber(record[2]), tonumber(record[3]), decoded(record[4])
  local prompt, answer = whole(usage.prompt_tokens), whole(usage.completion_tokens)
  local used = record[5] and charged or 0
  if prompt ~= cjson.null and answer ~= cjson.null then
    used = prompt + answer
  end
  if record[6] and record[6] ~= '' then -- no model has worked for it
    used = 0
  end
  local held = level(record[1], 'tokens', tpm) + charged - used
  fill(record[1], 'tokens', math.max(-tpm, math.min(tpm, held)))
end
