-- Behind the prelude, in every script that moves a job: jobs that share an answer, and the ends of jobs.

-- Beside the entry of an answer: the job that is giving it now; how often entries were of use.
local function flight_of(entry)
  return entry .. ':flight'
end

local function counts_of(entry)
  return neighbour(entry, 'counts')
end

-- What a record says of where its job went.
local WAY = {'model', 'route', 'plan', 'step', 'reasons', 'confidence', 'classifier', 'version', 'runner_up',
  'scores', 'domain'}
-- … and how far it has come.
local STANDING = {'status', 'routed_at', 'started_at', 'begun', 'streamed', 'tried', 'left_out', 'restart_reason',
  unpack(WAY)}

local function copied(job, names)
  local fields = {}
  for i, value in ipairs(redis.call('HMGET', job, unpack(names))) do
    if value then
      fields[#fields + 1] = names[i]
      fields[#fields + 1] = value
    end
  end
  return fields
end

-- When a job that has not ended is looked at, if nothing else happens.
local function watch(due, job, deadline, start_by, begun)
  redis.call('ZADD', due, begun and deadline or start_by, id_of(job))
end

-- Those that follow a leader hear of a move of its own.
local function tell_followers(job, due, channel, events)
  local fields = copied(job, STANDING)
  for _, id in ipairs(redis.call('LRANGE', followers_of(job), 0, -1)) do
    local follower = neighbour(job, id)
    local record = redis.call('HMGET', follower, 'seq', 'deadline_at', 'start_by')
    local seq = write(follower .. ':log', neighbour(channel, id), tonumber(record[1]), events)
    redis.call('HSET', follower, 'seq', text(seq), unpack(fields))
    watch(due, follower, record[2], record[3], redis.call('HGET', follower, 'begun') == '1')
  end
end

-- What an end means for those who ask the same: an answer that is whole, and of the plan's first
-- model, is kept as the name of the job that has it; nobody follows this job any more.
local function let_go(job, status)
  local id = id_of(job)
  local record = redis.call('HMGET', job, 'cache_key', 'cache', 'cache_s', 'route', 'cache_never', 'leader', 'usage',
    'step')
  local entry, from, leader = record[1], record[2] or '', record[6]
  if not entry then
    return
  end
  if leader then
    local lead = neighbour(job, leader)
    redis.call('HDEL', job, 'leader')
    if redis.call('LREM', followers_of(lead), 1, id) == 1 then
      redis.call('HINCRBY', lead, 'followers', -1)
    end
  elseif redis.call('GET', flight_of(entry)) == id then
    redis.call('DEL', flight_of(entry))
  end
  if status ~= 'completed' and status ~= 'incomplete' then
    return
  end
  redis.call('HSETNX', counts_of(entry), 'since', now_text)
  redis.call('HINCRBY', counts_of(entry), from == '' and 'miss' or from, 1)
  if from ~= '' then
    local usage = decoded(record[7])
    for _, name in ipairs({'prompt_tokens', 'completion_tokens'}) do
      local count = whole(usage[name])
      redis.call('HINCRBY', counts_of(entry), name, count == cjson.null and '0' or text(count))
    end
  elseif status == 'completed' and (record[8] or '0') == '0'
    and not string.find(record[5], ',' .. (record[4] or '') .. ',', 1, true) then
    redis.call('SET', entry, id, 'EX', record[3])
  end
end

-- Write one terminal event, move the record and note the outcome, for this job alone.
local function close_one(job, log, due, channel, seq, status, events, ttl_s, decisions, most)
  local id, next_seq = id_of(job), write(log, channel, seq, events)
  local record = redis.call('HMGET', job, 'caller', 'waiting', 'priority', 'keep_s')
  local keep_s = tonumber(record[4]) or 0
  ttl_s = announce(job, due, record[1] or '', keep_s > 0 and keep_s or ttl_s)
  redis.call('HSET', job, 'status', status, 'seq', text(next_seq), 'finished_at', now_text, 'owner', '')
  redis.call('EXPIRE', job, ttl_s)
  redis.call('EXPIRE', log, ttl_s)
  redis.call('ZREM', due, id)
  redis.call('ZREM', later_of(due), id)
  local caller, waiting = record[1] or '', record[2] or ''
  leave(waiting, id)
  redis.call('ZREM', running_of(waiting), id)
  if redis.call('HINCRBY', load_of(due), caller, -1) <= 0 then
    redis.call('HDEL', load_of(due), caller)
    redis.call('HDEL', turns_of(waiting), (record[3] or '') .. ':' .. caller) -- it comes as a newcomer again
  end
  settle(job)
  let_go(job, status)
  note(decisions, most, 'outcome', outcome(job, status))
end

-- The leader is gone, its followers are not: the first one leads now, and stands where that one
-- stood. `was` is what the leader's record said before. Returns the new leader.
local function regroup(job, due, channel, was, leads)
  local ids = redis.call('LRANGE', followers_of(job), 0, -1)
  redis.call('DEL', followers_of(job))
  local heir = table.remove(ids, 1)
  local lead = neighbour(job, heir)
  local ttl_s = redis.call('TTL', lead)
  local told = stamped('{"type":"routed","route":' .. cjson.encode(was.route or '') .. ',"model":'
    .. cjson.encode(was.model or '') .. ',"plan":' .. (was.plan or '[]')
    .. ',"reasons":["the job that gave the same answer is over"],"ended":"handed over"}')
  for _, id in ipairs({heir, unpack(ids)}) do
    local follower = neighbour(job, id)
    local record = redis.call('HMGET', follower, 'seq', 'deadline_at', 'start_by', 'streamed')
    if was.status == 'running' then
      local begun = record[4] == '1'
      local seq = write(follower .. ':log', neighbour(channel, id), tonumber(record[1]), {'routed', told})
      redis.call('HSET', follower, 'status', 'routed', 'seq', text(seq), 'begun', begun and '1' or '0',
        'restart_reason', 'the answer that it shared has ended')
      watch(due, follower, record[2], record[3], begun)
    end
    if id ~= heir then
      redis.call('HSET', follower, 'leader', heir)
      redis.call('RPUSH', followers_of(lead), id)
    end
  end
  redis.call('EXPIRE', followers_of(lead), ttl_s)
  redis.call('HDEL', lead, 'leader', 'cache')
  redis.call('HSET', lead, 'followers', text(#ids), 'waiting', was.waiting, 'lease_until', '0')
  if leads then
    redis.call('SET', flight_of(was.cache_key), heir, 'EX', ttl_s)
  end
  local stood = redis.call('HMGET', lead, 'priority', 'created_at')
  rejoin(was.waiting, heir, stood[1], tonumber(stood[2]))
  return heir
end

-- Whether an end is of the job's own: by its caller's word, its deadline, or its bound for a wait.
local function is_own(job, status)
  return status == 'cancelled' or status == 'expired'
    or (status == 'failed' and decoded(redis.call('HGET', job, 'error')).code == 'too_busy')
end

-- The end of a job; callers have checked that it may. Those that follow it end as it does; where the
-- end is its own, they go on without it.
-- Returns the job for which its line needs a message now, and that one's model; or nothing.
local function close(job, log, due, channel, seq, status, events, ttl_s, decisions, most)
  if not has_followers(redis.call('HGET', job, 'followers')) then
    return close_one(job, log, due, channel, seq, status, events, ttl_s, decisions, most)
  end
  local was = {}
  for _, name in ipairs({'status', 'waiting', 'model', 'route', 'plan', 'cache_key'}) do
    was[name] = redis.call('HGET', job, name) or nil
  end
  local leads = redis.call('GET', flight_of(was.cache_key)) == id_of(job)
  close_one(job, log, due, channel, seq, status, events, ttl_s, decisions, most)
  redis.call('HDEL', job, 'followers')
  if is_own(job, status) then
    return regroup(job, due, channel, was, leads), was.status == 'queued' and '' or was.model
  end
  local ids, fields = redis.call('LRANGE', followers_of(job), 0, -1), copied(job, {'usage', 'error', 'tried'})
  local streamed = redis.call('HGET', job, 'streamed') == '1'
  redis.call('DEL', followers_of(job))
  for _, id in ipairs(ids) do
    local follower = neighbour(job, id)
    redis.call('HSET', follower, 'cost_usd', '0', unpack(fields))
    if streamed then -- also where the answer comes with its end
      redis.call('HSETNX', follower, 'first_token_at', now_text)
    end
    close_one(follower, follower .. ':log', due, neighbour(channel, id), tonumber(redis.call('HGET', follower, 'seq')),
      status, events, ttl_s, decisions, most)
  end
end

-- As a call that ends a job tells of the one that took its place.
local function heir_of(job, heir, model)
  if heir then
    return heir, model, redis.call('HGET', neighbour(job, heir), 'priority')
  end
end
