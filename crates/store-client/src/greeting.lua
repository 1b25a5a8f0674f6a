-- What a node says of itself some times a second, and hears of all: who is there, by which seed limits are called, and how
-- far the list of revoked keys has come.
--
-- KEYS: the nodes, the seed, the list, its number. ARGV: this incarnation, its row, the seed that it knows or would
-- choose, the number of the list that it knows.
local NODES, SEED, LIST, NUMBER = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local GONE_S, KEEP_MS, MAX_NODES = 60, 90 * 86400 * 1000, 2000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('HSET', NODES, ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', NODES, GONE_S * 1000)
-- Whoever is gone for long goes, where nodes come and go: looked for by one greeting in a hundred.
if time[2] % 100 == 0 or redis.call('HLEN', NODES) > MAX_NODES then
  local rows = redis.call('HGETALL', NODES)
  for i = 1, #rows, 2 do
    local seen = tonumber(string.match(rows[i + 1], '^%d+')) or 0
    if now - seen > GONE_S * 1000000 then
      redis.call('HDEL', NODES, rows[i])
    end
  end
end

redis.call('SET', SEED, ARGV[3], 'NX')
redis.call('PEXPIRE', SEED, KEEP_MS)
-- A store that has lost its data begins where the nodes are: what they know must stay older than what comes.
local number = tonumber(redis.call('GET', NUMBER) or '0') or 0
local known = tonumber(ARGV[4])
local lost = 0
if known > number then
  redis.call('SET', NUMBER, string.format('%.0f', known))
  number = known
  lost = 1
end
return { string.format('%.0f', now), redis.call('GET', SEED), number, lost }
