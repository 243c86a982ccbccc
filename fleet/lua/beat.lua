-- A sign of life of a process.
-- KEYS  1 its report (string)   2 names of processes (set)
-- ARGV  1 report   2 ttl s   3 its name
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
return 1
