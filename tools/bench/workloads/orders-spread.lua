-- One-line orders, spread over all products.
dofile((os.getenv("BENCH_WORKLOADS")) .. "/common.lua")

function request()
  return order(string.format('{"product_id": "%s", "quantity": 1}', any(data.products)))
end
