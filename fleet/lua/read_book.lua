-- The book of today, after what has run out was given back.
-- KEYS  1 holds (zset)   2 prefix of the books; the day is added here
-- ARGV  1 offset of the time zone in ms   2.. the fields wanted; none: all of them
-- Returns now ms, the number of the day, and {field, value, ...}.
sweep(KEYS[1], KEYS[2])
local day = day_number(ARGV[1])
local book = KEYS[2] .. day
if #ARGV == 1 then
  return {now_text, day, redis.call('HGETALL', book)}
end
local told = {}
for i, value in ipairs(redis.call('HMGET', book, unpack(ARGV, 2))) do
  told[2 * i - 1], told[2 * i] = ARGV[i + 1], value or '0'
end
return {now_text, day, told}
