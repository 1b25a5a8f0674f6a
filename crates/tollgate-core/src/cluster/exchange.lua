-- The store's part of an exchange: cluster/store in Rust says what it does, and a test compares them.
--
-- KEYS: the shard's life, and each limit. ARGV[1], what is kept, and the answer: MessagePack, arrays of
-- whole numbers. All limits are read and calculated before the first one is written, and each is written
-- by one SET: a script that is stopped between two has done what a message with fewer lines does.
local FORM, HEAD, LINE = 1, 5, 14
local DEAD, FORGET, WISH, GRACE = 5000000, 60000000, 1000000, 1500000
local KEEP, KEEP_BUDGET = 6000000, 3600000000
local MAX_ACCOUNTS = 256
local MAX = 4503599627370496
local LIFE_MS, LIFE_NOTED = 7776000000, 86400000000
local BUCKET, BUDGET, SLOTS = 0, 1, 2
local DONE, OLD, PERIOD, CROWDED = 0, 1, 2, 3
-- What is kept of a limit: these numbers, then those of each account.
local KIND, USED, PART, LENGTH, AT, NUMBER, SINCE, FIRST = 2, 3, 4, 5, 6, 7, 8, 9
-- An account: incarnation, seq, born, drawn, adjust, leased, wish, seen.
local ACCOUNT = 8
local floor, min, max = math.floor, math.min, math.max
local pack, unpack_numbers = cmsgpack.pack, cmsgpack.unpack

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arg = unpack_numbers(ARGV[1])
if arg[1] ~= FORM then
  return redis.error_reply('TOLLGATE another form of message')
end
local speaker, seq, latest, heard_life = arg[2], arg[3], arg[4], arg[5]
local states = redis.call('MGET', unpack(KEYS))

-- What is kept under a key, if it is one of ours.
local function kept(text, length, part)
  if not text then return nil end
  local is_read, numbers = pcall(unpack_numbers, text)
  if is_read and type(numbers) == 'table' and numbers[1] == FORM and (#numbers - length) % part == 0 then
    return numbers
  end
  return nil
end

-- Its number, when it became known that there were data before it, and when it was written.
local life = kept(states[1], 4, 4)
if now > latest then
  return pack({FORM, 1, seq, now, life and life[2] or 0})
end
local write_life = false
if not life then
  life = {FORM, now, 0, now}
  write_life = true
end
if heard_life ~= 0 and heard_life ~= life[2] and life[3] == 0 then
  life[3] = now
  write_life = true
end
if now - life[4] > LIFE_NOTED then
  life[4] = now
  write_life = true
end
local grace = 0
if life[3] > 0 and now < life[3] + GRACE then
  grace = life[3] + GRACE - now
end

-- x * m + more, divided by d: quotient and rest. In two steps of 16 bits, so that no product reaches
-- 2^53: x, d and more are below 2^37, m is below 2^32.
local function divide(x, m, d, more)
  local product = x * m + more
  if product < 9007199254740992 then
    local q = floor(product / d)
    return q, product - q * d
  end
  local high = floor(m / 65536)
  product = x * high
  local q = floor(product / d)
  local rest = (product - q * d) * 65536
  local carried = floor(rest / d)
  rest = rest - carried * d
  product = x * (m - high * 65536) + more
  local low = floor(product / d)
  rest = rest + product - low * d
  q = q * 65536 + carried + low
  if rest >= d then
    return q + 1, rest - d
  end
  return q, rest
end

-- In how many microseconds n more have drained.
local function wait_for(n, part, count, period)
  if n <= 0 then return 0 end
  local whole = floor(n / count)
  if whole * period >= MAX then return MAX end
  local q, rest = divide(period, n - whole * count, count, 0)
  return min(whole * period + q + math.ceil((rest - part) / count), MAX)
end

local answer = {FORM, 0, seq, now, life[2]}
local keys, values, times, written = {}, {}, {}, 0
local at, out = HEAD, HEAD
for index = 2, #KEYS do
  local flags, a, b, c, d = arg[at + 1], arg[at + 2], arg[at + 3], arg[at + 4], arg[at + 5]
  local born, drawn, adjust, new_drawn, new_adjust =
    arg[at + 6], arg[at + 7], arg[at + 8], arg[at + 9], arg[at + 10]
  local held, want, known, age = arg[at + 11], arg[at + 12], arg[at + 13], arg[at + 14]
  at = at + LINE
  local kind = flags % 4
  local is_reset, in_doubt = flags % 8 >= 4, flags >= 8
  local capacity, number = a, 0
  if kind == BUDGET then number = b end

  local s = kept(states[index], FIRST - 1, ACCOUNT)
  local status = DONE
  if kind == BUDGET and (now < c or now >= d or (s and s[NUMBER] > number)) then
    status = PERIOD
  end
  local grant, used, unsold, others, is_short, wait = 0, 0, 0, 0, 0, 0
  if status ~= PERIOD then
    if not s or s[KIND] ~= kind or s[NUMBER] ~= number then
      s = {FORM, kind, 0, 0, 0, now, number, now}
    end
    used = s[USED]

    -- What drains.
    local part = s[PART]
    if kind == BUCKET then
      if s[LENGTH] ~= c then part = 0 end
      local passed = now - s[AT]
      if passed > 0 and used > 0 then
        local periods = floor(passed / c)
        local tokens = periods * b
        if tokens >= used then
          used, part = 0, 0
        else
          local more
          more, part = divide(passed - periods * c, b, c, part)
          tokens = tokens + more
          if tokens >= used then
            used, part = 0, 0
          else
            used = used - tokens
          end
        end
      elseif used == 0 then
        part = 0
      end
      s[LENGTH] = c
    end

    -- The accounts.
    local own, dropped, leased_by_dead = nil, 0, 0
    local patience = DEAD
    if kind == BUDGET then patience = FORGET end
    local last = #s
    for account = FIRST, last, ACCOUNT do
      -- The clock stepped back.
      if s[account + 7] > now then s[account + 7] = now end
      if s[account] == speaker then
        own = account
      elseif now - s[account + 7] > patience then
        dropped = dropped + 1
        leased_by_dead = leased_by_dead + s[account + 5]
      else
        others = others + s[account + 5]
        if s[account + 6] > 0 and now - s[account + 7] < WISH then is_short = 1 end
      end
    end

    if own and s[own + 1] >= seq then
      status = OLD
      others = others + leased_by_dead
      unsold = max(0, capacity - used - others - s[own + 5])
    else
      if kind ~= SLOTS then used = min(used + leased_by_dead, MAX) end
      if not own and (last - FIRST + 1) / ACCOUNT - dropped >= MAX_ACCOUNTS then
        status = CROWDED
        unsold = max(0, capacity - used - others)
      else
        -- What the speaker knows, and the store has lost.
        if not own and age > 0 and s[SINCE] > 0 and kind ~= SLOTS
          and (grace > 0 or kind == BUDGET and latest - age < s[SINCE]) then
          used = max(used, known)
        end
        -- What is new.
        if own and s[own + 2] == born then
          new_drawn = max(0, drawn - s[own + 3])
          new_adjust = adjust - s[own + 4]
        elseif own then
          new_drawn, new_adjust = drawn, adjust
        elseif in_doubt then
          new_adjust = max(0, new_adjust)
        end
        if kind ~= SLOTS then
          used = min(used + new_drawn, MAX)
          used = min(max(used + new_adjust, 0), MAX)
        end
        if is_reset then
          used = 0
          s[SINCE] = 0
        end

        local room = max(0, capacity - used - others - held)
        if grace == 0 then grant = min(want, room) end
        unsold = room - grant
        local taken = used + others + held + grant
        if want > grant then
          if grace > 0 then
            wait = grace
          elseif kind == BUCKET then
            local missing = taken + 1 - capacity
            if missing <= used then wait = wait_for(missing, part, b, c) end
          elseif kind == BUDGET then
            wait = d - now
          end
        end

        if dropped > 0 then
          local kept_accounts, length = {}, FIRST - 1
          for field = 1, FIRST - 1 do kept_accounts[field] = s[field] end
          for account = FIRST, last, ACCOUNT do
            if s[account] == speaker or now - s[account + 7] <= patience then
              if s[account] == speaker then own = length + 1 end
              for field = 0, ACCOUNT - 1 do
                kept_accounts[length + 1 + field] = s[account + field]
              end
              length = length + ACCOUNT
            end
          end
          s = kept_accounts
          last = length
        end
        own = own or last + 1
        s[own], s[own + 1], s[own + 2], s[own + 3] = speaker, seq, born, drawn
        s[own + 4], s[own + 5], s[own + 6], s[own + 7] = adjust, held + grant, want - grant, now
        s[USED], s[PART], s[AT] = used, part, now

        local keep = KEEP
        if kind == BUCKET then
          keep = KEEP + wait_for(taken, part, b, c)
        elseif kind == BUDGET then
          keep = KEEP_BUDGET + d - now
        end
        written = written + 1
        keys[written], values[written], times[written] = KEYS[index], pack(s), floor(keep / 1000) + 1
      end
    end
  end
  answer[out + 1], answer[out + 2], answer[out + 3], answer[out + 4] = status, grant, used, unsold
  answer[out + 5], answer[out + 6], answer[out + 7] = others, is_short, wait
  out = out + 7
end

-- From here on it writes, and only writes.
local packed = pack(answer)
if write_life then
  redis.call('SET', KEYS[1], pack(life), 'PX', LIFE_MS)
end
for index = 1, written do
  redis.call('SET', keys[index], values[index], 'PX', times[index])
end
return packed
