-- Where a new job would stand in some lines, and what runs there; nothing is changed.
-- KEYS  1.. the lines (zsets)
-- ARGV  1 id of the job   2 its priority   3 its caller
-- Returns {now ms, {jobs before it, streams that run, the claim times (ms) of the oldest of them}, ...}:
-- one list for each line.
-- As `join` (`prelude.lua`) puts it: by score, and within one by id. Of a crowd with one score half stands before it.
local TIES_MOST, CLAIMS_MOST = 100, 256

local function before(line, score)
  local jobs = redis.call('ZCOUNT', line, '-inf', '(' .. score)
  local ties = redis.call('ZCOUNT', line, score, score)
  if ties > TIES_MOST then
    return jobs + math.floor(ties / 2)
  end
  for _, other in ipairs(ties > 0 and redis.call('ZRANGEBYSCORE', line, score, score) or {}) do
    jobs = jobs + (other < ARGV[1] and 1 or 0)
  end
  return jobs
end

local found = {now_text}
for i, line in ipairs(KEYS) do
  local _, score = next_turn(line, ARGV[2], ARGV[3])
  local running = running_of(line)
  local seen = {before(line, score), redis.call('ZCARD', running)}
  local claims = redis.call('ZRANGE', running, 0, CLAIMS_MOST - 1, 'WITHSCORES')
  for j = 2, #claims, 2 do
    seen[#seen + 1] = claims[j]
  end
  found[i + 1] = seen
end
return found
