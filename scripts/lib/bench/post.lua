-- wrk: posts events to POST /events. Arguments: events a request (1), bytes an event (370), and
-- whether it says when it happened and was sent, as real clients do (yes).
-- A single event is made anew for each request; of larger bodies a few are made ahead, so that
-- it is not the load generator that is measured.
local BODIES = 8
local number, salt, events, padding, times = 0, 0, 1, "", ""
local bodies = {}

local function event()
  number = number + 1
  return string.format(
    '{"eventType":"task_completed","eventId":"bench-%08x-%d","userId":%d,%s'
      .. '"activity":{"taskId":"task-%d","taskType":"Upload pay stub","durationMs":%d,'
      .. '"device":"mobile","appVersion":"4.12.1","locale":"en-US",'
      .. '"screen":"onboarding/checklist","platform":"ios","experiment":"checklist-v3",'
      .. '"note":"%s"}}',
    salt, number, 1 + number % 20000, times, number % 500, number * 13 % 60000, padding)
end

local function body()
  if events == 1 then return event() end
  local lines = {}
  for line = 1, events do lines[line] = event() end
  return table.concat(lines, "\n")
end

function init(arguments)
  salt = os.time() % 0x7fffffff
  events = tonumber(arguments[1] or "1")
  if arguments[3] ~= "no" then
    local now = os.date("!%Y-%m-%dT%H:%M:%S.789Z")
    times = string.format('"occurredAt":"%s","sentAt":"%s",', now, now)
  end
  padding = string.rep("x", math.max(0, tonumber(arguments[2] or "370") - #event()))
  wrk.method = "POST"
  wrk.headers["Content-Type"] = events == 1 and "application/json" or "application/x-ndjson"
  if events > 1 then
    for index = 1, BODIES do bodies[index] = body() end
  end
end

local sent = 0
function request()
  sent = sent + 1
  return wrk.format(nil, nil, nil, events == 1 and body() or bodies[1 + sent % BODIES])
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"ok":%d,"failed":%d,"lost":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f}\n',
    summary.requests - errors.status, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
