-- What a caller says of a job: the route that it needed, how good the answer was. The latest word counts.
-- KEYS  1 job hash   2 decision log (stream)   3 examples to learn from (stream)
-- ARGV  1 feedback json   2 entries of the decision log, at most   3 route   4 text that needs it,
--       or '' when none is to be kept   5 examples, at most   6 changes of mind, at most
-- Returns 1, 0 when there is no such job, -1 when it has changed too often. Saying the same again
-- changes nothing.
local record = redis.call('HMGET', KEYS[1], 'status', 'feedback', 'example')
if not record[1] then
  return 0
end
if record[2] == ARGV[1] then
  return 1
end
if redis.call('HINCRBY', KEYS[1], 'feedbacks', 1) > tonumber(ARGV[6]) then
  return -1
end
local example = ''
if record[3] and record[3] ~= '' then
  redis.call('XDEL', KEYS[3], record[3])
end
if ARGV[4] ~= '' then
  example = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'route', ARGV[3], 'text', ARGV[4])
end
redis.call('HSET', KEYS[1], 'feedback', ARGV[1], 'example', example)
note(KEYS[2], ARGV[2], 'feedback', stamped('{"job":"' .. id_of(KEYS[1]) .. '",' .. string.sub(ARGV[1], 2)))
return 1
