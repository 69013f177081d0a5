-- Pipelining for wrk: 16 requests at once, then 16 answers.
local requests

function init()
    requests = string.rep(wrk.format(), 16)
end

function request()
    return requests
end
