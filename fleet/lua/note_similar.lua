-- A question is remembered by its embedding, so that one like it may get its answer.
-- KEYS  1 job hash   2 the questions asked in the same way (string): records of one size, the oldest first
-- ARGV  1 the record, which begins with the digits of the job's id   2 records at most   3 ttl s
-- The job's hash names the string (`similar_in`), so that who deletes it finds the record.
-- Returns 1, or 0 when there is no such job (any more).
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local size, most = #ARGV[1], tonumber(ARGV[2])
if redis.call('HGET', KEYS[1], 'similar_in') ~= KEYS[2] then
  local length = redis.call('APPEND', KEYS[2], ARGV[1])
  if length > size * most then -- a tenth goes at once: it is copied less often
    local kept = math.ceil(most * 0.9) * size
    redis.call('SET', KEYS[2], redis.call('GETRANGE', KEYS[2], -kept, -1))
  end
  redis.call('HSET', KEYS[1], 'similar_in', KEYS[2], 'similar_size', size)
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
