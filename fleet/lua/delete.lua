-- A job is forgotten: one that has not ended is cancelled first, so that its readers hear of an end
-- and its worker stops; then its record, its log, its place in the index, the text that the router
-- might have learnt from, the name under which its answer is given again, its question's embedding, and
-- its webhook: what could be told is not to be seen any more.
-- KEYS  1 job hash   2 log stream   3 due (zset)   4 decision log (stream)   5 jobs index (zset)
--       6 examples to learn from (stream)   7 deliveries that were given up (zset)
-- ARGV  1 channel   2 cancels channel   3 cancelled event json   4 entries of the decision log, at most
-- Returns {1, and where another job took its place: its id, model and priority}, or {0} when there is
-- no such job (any more).
local record = redis.call('HMGET', KEYS[1], 'status', 'seq', 'generation', 'example', 'caller', 'cache_key', 'leader',
  'similar_in', 'similar_size')
local status, id, heir, model = record[1], id_of(KEYS[1])
if not status then
  return {0}
end
if not TERMINAL[status] then
  redis.call('HDEL', KEYS[1], 'webhook')
  heir, model = close(KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(record[2]), 'cancelled',
    {'cancelled', stamped(ARGV[3])}, 60, KEYS[4], ARGV[4])
  if (status == 'running' and not record[7]) or (record[3] and record[3] ~= '') then
    redis.call('PUBLISH', ARGV[2], id)
  end
end
if record[4] and record[4] ~= '' then
  redis.call('XDEL', KEYS[6], record[4])
end
drop_webhook(KEYS[3], id, record[5] or '')
redis.call('ZREM', KEYS[7], id)
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[5], id)
if record[6] and redis.call('GET', record[6]) == id then
  redis.call('DEL', record[6])
end
if record[8] then
  local noted, size = redis.call('GET', record[8]) or '', tonumber(record[9])
  local at = string.find(noted, string.match(id, '%x+$'), 1, true)
  if at then
    redis.call('SET', record[8], string.sub(noted, 1, at - 1) .. string.sub(noted, at + size), 'KEEPTTL')
  end
end
return {1, heir_of(KEYS[1], heir, model)}
