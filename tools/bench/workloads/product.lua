-- A product by its id.
dofile((os.getenv("BENCH_WORKLOADS")) .. "/common.lua")

function request()
  return wrk.format("GET", "/products/" .. any(data.products))
end
