-- Signing in: a password check with argon2, an RSA signature, a refresh token.
dofile((os.getenv("BENCH_WORKLOADS")) .. "/common.lua")

function request()
  local body = string.format('{"email": "%s", "password": "%s"}', any(data.emails), data.password)
  return wrk.format("POST", "/login", { ["Content-Type"] = "application/json" }, body)
end
