-- A message into a queue.
-- KEYS  1 the queue (list)
-- ARGV  1 message
return redis.call('LPUSH', KEYS[1], ARGV[1])
