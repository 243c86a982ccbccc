-- One request and its tokens out of what a caller has in a minute, or a look at what is left.
-- KEYS  1 the caller's bucket
-- ARGV  1 requests and 2 tokens in a minute, or 0   3 tokens to take, or -1 to look only
-- Returns {0, 0} or, refused, {-3, ms until it may make a request}, {-4, ms until it has the tokens};
-- behind that the requests and tokens that are left.
local rpm, tpm, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local short, wait_ms
if tokens >= 0 then
  short, wait_ms = charge(KEYS[1], rpm, tpm, tokens)
end
local code = short and (short == 'requests' and -3 or -4) or 0
return {code, wait_ms or 0, left(KEYS[1], rpm, tpm)}
