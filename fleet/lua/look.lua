-- What predictions need beside a job's place: who works, what a job takes, where jobs go; nothing is
-- changed.
-- KEYS  1 names of processes (set)   2 what a job of each model takes (hash)
--       3 how the last decisions spread (hash)
-- ARGV  1 prefix of the processes' reports
-- Returns {{report, ...}, {model, pace, ...}, {asked:model, count, ...}}.
local reports = {}
for _, node in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  reports[#reports + 1] = redis.call('GET', ARGV[1] .. node) or nil
end
return {reports, redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
