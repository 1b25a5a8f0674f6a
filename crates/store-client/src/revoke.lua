-- Puts a word on the list of revoked keys, behind all others.
--
-- KEYS: the list, its number. ARGV: the word, and the one that it replaces.
local LIST, NUMBER = KEYS[1], KEYS[2]
local MOST = 10000

local number = redis.call('INCR', NUMBER)
redis.call('ZREM', LIST, ARGV[2])
redis.call('ZADD', LIST, number, ARGV[1])
-- The oldest go: by then, files say what they did.
redis.call('ZREMRANGEBYRANK', LIST, 0, -MOST - 1)
return number
