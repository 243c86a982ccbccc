-- Shared by the scripts that count money: the book of a day, and what is set aside for calls under way.
--
-- A day's book is a hash: for each scope (`all`, `model:{m}`, `caller:{c}`) `{scope}:calls`,
-- `{scope}:nano` spent and `{scope}:held`, in 10^-9 US dollars. Days are those of a time zone: its
-- offset to UTC is told with each call, the clock is Redis'.
-- A hold is a hash beside the set of all holds by the time at which they run out: `state` (held,
-- expired, settled), `day`, `nano`, and its scopes (JSON).
local DAY_MS = 86400000
local BOOK_TTL_S = 400 * 86400 -- a year and a month: this month can be laid beside that of last year

local function day_number(offset_ms)
  return text(math.floor((now + offset_ms) / DAY_MS))
end

local function hold_of(holds, id)
  return holds .. ':' .. id
end

-- Adds to one figure of each scope.
local function enter(book, scopes, what, amount)
  if amount == 0 then
    return
  end
  for _, scope in ipairs(scopes) do
    redis.call('HINCRBY', book, scope .. ':' .. what, text(amount))
  end
  redis.call('EXPIRE', book, BOOK_TTL_S)
end

-- Holds that nobody has renewed: their workers are gone. The dollars are free again; the calls were
-- made, and stay counted.
local SWEPT_MOST = 1000
local function sweep(holds, books)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', now_text, 'LIMIT', 0, SWEPT_MOST)) do
    local hold = redis.call('HMGET', hold_of(holds, id), 'state', 'day', 'nano', 'scopes')
    redis.call('ZREM', holds, id)
    if hold[1] == 'held' then
      enter(books .. hold[2], cjson.decode(hold[4]), 'held', -tonumber(hold[3]))
      redis.call('HSET', hold_of(holds, id), 'state', 'expired')
    end
  end
end
