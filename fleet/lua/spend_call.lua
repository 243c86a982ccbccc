-- One call out of a model's daily allowance (days are UTC).
-- KEYS  1 prefix of the counter; the day is added here
-- ARGV  1 calls allowed per day
-- Returns the number of this call, or 0 when none is left.
local key = today(KEYS[1])
local used = tonumber(redis.call('GET', key) or 0)
if used >= tonumber(ARGV[1]) then
  return 0
end
redis.call('INCR', key)
redis.call('EXPIRE', key, 172800)
return used + 1
