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

local function text(number)
  return string.format('%.0f', number)
end

local function id_of(job)
  return string.match(job, '[^:]+$')
end

-- Beside `due`: the jobs that wait for a worker, by the time of the next look for their message.
local function messages_of(due)
  return due .. ':messages'
end

local GRACE_MS = 5000

-- A message for a job is on its way: note when and where, so that a lost one can be told.
local function dispatched(job, due, list)
  redis.call('HSET', job, 'dispatched_at', now_text, 'list', list)
  redis.call('ZADD', messages_of(due), text(now + GRACE_MS), id_of(job))
end

-- Write one terminal event and move the record; callers have checked that it may.
local function close(job, log, due, channel, seq, status, events, ttl_s)
  local next_seq = write(log, channel, seq, events)
  redis.call('HSET', job, 'status', status, 'seq', text(next_seq), 'finished_at', now_text, 'owner', '')
  redis.call('EXPIRE', job, ttl_s)
  redis.call('EXPIRE', log, ttl_s)
  redis.call('ZREM', due, id_of(job))
  redis.call('ZREM', messages_of(due), id_of(job))
end
