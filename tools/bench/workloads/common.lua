-- The code that all workloads share. wrk runs this file once per thread; `BENCH_DATA` names a Lua file with the tokens and
-- products, and `BENCH_RUN` is different in every run, so that idempotency keys are never used twice.

data = dofile(os.getenv("BENCH_DATA"))

local threads = 0
local sent = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  math.randomseed(os.time() + 7919 * number)
  for _ = 1, 10 do math.random() end
end

function any(list)
  return list[math.random(#list)]
end

function authorized()
  return { ["Authorization"] = "Bearer " .. any(data.tokens), ["Content-Type"] = "application/json" }
end

function order(body)
  sent = sent + 1
  local headers = authorized()
  headers["Idempotency-Key"] = string.format("%s-%d-%d", os.getenv("BENCH_RUN"), number, sent)
  return wrk.format("POST", "/orders", headers, body)
end

-- Without a pause, each client sends its next request as soon as the last one is answered.
local pause = tonumber(os.getenv("BENCH_PAUSE") or "0")
if pause > 0 then
  function delay()
    return math.floor(2 * pause * math.random() + 0.5)
  end
end

function done(summary, latency)
  local errors = summary.errors
  local answered = summary.requests - errors.status
  io.write(string.format(
    '\nRESULT {"requests": %d, "throughput": %.3f, "p50": %.3f, "p99": %.3f, "http_errors": %d, "socket_errors": %d}\n',
    answered, answered / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
