-- What a call has really cost, in the place of what was set aside for it; once for each hold.
-- KEYS  1 holds (zset)   2 prefix of the books; the day is added here   3 job hash
--       4 decision log (stream)
-- ARGV  1 the order (JSON): `id` of the hold; `scopes`; `nano`: the cost in 10^-9 US dollars, or nothing
--         if none is known; `called`: false if the call was never made; `kept_s`: how long the hold's
--         fate is remembered; `offset_ms` of the time zone; `log_size`: entries of the decision log, at most
-- The cost belongs to the day of the call. A hold that has run out meanwhile, or that there never
-- was, is counted all the same: the money is gone. A job that has ended without it (a cancel does not
-- wait) has its cost noted behind its outcome.
-- Returns 1, or 0 when it was settled before.
local order = cjson.decode(ARGV[1])
local hold = hold_of(KEYS[1], order.id)
local seen = redis.call('HMGET', hold, 'state', 'day', 'nano')
if seen[1] == 'settled' then
  return 0
end
local book = KEYS[2] .. (seen[2] or day_number(order.offset_ms))
if seen[1] == 'held' then
  enter(book, order.scopes, 'held', -tonumber(seen[3]))
  redis.call('ZREM', KEYS[1], order.id)
end
if seen[1] and not order.called then
  enter(book, order.scopes, 'calls', -1)
end
redis.call('HSET', hold, 'state', 'settled')
redis.call('EXPIRE', hold, order.kept_s)
if order.nano then
  enter(book, order.scopes, 'nano', order.nano)
  if redis.call('EXISTS', KEYS[3]) == 1 then
    local sum = redis.call('HINCRBY', KEYS[3], 'cost_nano', text(order.nano))
    redis.call('HSET', KEYS[3], 'cost_usd', string.format('%.15g', sum / 1e9))
    if TERMINAL[redis.call('HGET', KEYS[3], 'status')] then
      note(KEYS[4], order.log_size, 'cost', cjson.encode({job = id_of(KEYS[3]), at = now, cost_usd = sum / 1e9}))
    end
  end
end
return 1
