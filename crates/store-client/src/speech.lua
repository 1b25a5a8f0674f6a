-- What a node says in one call: its greeting, an exchange, or both. `greet` and `exchange` are the scripts of these names,
-- as functions of KEYS and ARGV.
--
-- KEYS: the four of a greeting, then those of an exchange. ARGV: the four of a greeting, then the one of an exchange.
-- The answer is that of the one, or of the other; or the answer to a greeting, with that to the exchange at its end.
local GREETING = 4
if #ARGV < GREETING then
  return exchange(KEYS, ARGV)
end
local keys, arguments, greeting_keys, greeting_arguments = {}, {}, {}, {}
for i = 1, GREETING do greeting_keys[i], greeting_arguments[i] = KEYS[i], ARGV[i] end
for i = GREETING + 1, #KEYS do keys[i - GREETING] = KEYS[i] end
for i = GREETING + 1, #ARGV do arguments[i - GREETING] = ARGV[i] end
local greeted = greet(greeting_keys, greeting_arguments)
if #arguments == 0 then
  return greeted
end
local answer = exchange(keys, arguments)
if type(answer) == 'table' then
  -- It is an error.
  return answer
end
greeted[#greeted + 1] = answer
return greeted
