-- A key is made, or revoked: both hashes change together.
-- KEYS  1 keys (hash)   2 digests (hash)
-- ARGV  1 name   2 record json, or '' to revoke   3 digest
-- Returns 1, or 0 when the name is taken, or nobody has it. To make the same key twice is no harm.
local known = redis.call('HGET', KEYS[1], ARGV[1])
local digest = known and decoded(known).digest
if ARGV[2] ~= '' then
  if known then
    return digest == ARGV[3] and 1 or 0
  end
  redis.call('HSET', KEYS[1], ARGV[1], stamped(ARGV[2]))
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[1])
  return 1
end
if digest then
  redis.call('HDEL', KEYS[2], digest)
end
return redis.call('HDEL', KEYS[1], ARGV[1])
