-- A call that costs money, before it is made: counted in every scope, and its dollars set aside, if
-- no cap is in the way.
-- KEYS  1 holds (zset)   2 prefix of the books; the day is added here
-- ARGV  1 the order (JSON): `id` of the hold; `nano`: what the call may cost, in 10^-9 US dollars;
--         `caps`: for each scope `scope`, `calls` and `nano` in a day, 0: no cap; `hold_ms` until the
--         hold runs out; `kept_s`: how long its fate is remembered; `offset_ms` of the time zone
-- Returns {} when the call may be made, also when this was said before; else which cap is full:
-- {its place, 'calls' or 'usd', 10^-9 US dollars spent and held there, now ms}.
local order = cjson.decode(ARGV[1])
local hold = hold_of(KEYS[1], order.id)
if redis.call('EXISTS', hold) == 1 then
  return {}
end
sweep(KEYS[1], KEYS[2])
local day = day_number(order.offset_ms)
local book, scopes = KEYS[2] .. day, {}
for place, cap in ipairs(order.caps) do
  local scope = cap.scope
  local seen = redis.call('HMGET', book, scope .. ':calls', scope .. ':nano', scope .. ':held')
  local used = tonumber(seen[2] or 0) + tonumber(seen[3] or 0)
  if cap.calls > 0 and tonumber(seen[1] or 0) >= cap.calls then
    return {place, 'calls', used, now}
  end
  if cap.nano > 0 and (used >= cap.nano or used + order.nano > cap.nano) then
    return {place, 'usd', used, now}
  end
  scopes[place] = scope
end
enter(book, scopes, 'calls', 1)
enter(book, scopes, 'held', order.nano)
redis.call('HSET', hold, 'state', 'held', 'day', day, 'nano', text(order.nano), 'scopes', cjson.encode(scopes))
redis.call('EXPIRE', hold, order.kept_s)
redis.call('ZADD', KEYS[1], text(now + order.hold_ms), order.id)
return {}
