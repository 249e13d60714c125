-- One-line orders of a single product that everybody wants.
dofile((os.getenv("BENCH_WORKLOADS")) .. "/common.lua")

function request()
  return order(string.format('{"product_id": "%s", "quantity": 1}', data.products[1]))
end
