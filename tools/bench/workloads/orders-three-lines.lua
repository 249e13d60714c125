-- Orders of three products.
dofile((os.getenv("BENCH_WORKLOADS")) .. "/common.lua")

function request()
  local lines = {}
  local first = math.random(#data.products)
  for step = 0, 2 do
    local product = data.products[(first + 17 * step) % #data.products + 1]
    lines[#lines + 1] = string.format('{"product_id": "%s", "quantity": 1}', product)
  end
  return order('{"items": [' .. table.concat(lines, ", ") .. "]}")
end
