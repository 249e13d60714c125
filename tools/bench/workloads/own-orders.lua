-- The newest orders of the signed-in customer.
dofile((os.getenv("BENCH_WORKLOADS")) .. "/common.lua")

function request()
  return wrk.format("GET", "/orders?limit=20", authorized())
end
