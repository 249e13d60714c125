-- A page of the catalogue: the words of the name, a category, a range of prices, several orders.
dofile((os.getenv("BENCH_WORKLOADS")) .. "/common.lua")

local queries = {
  "q=%s&limit=20", "q=%s&sort=price&in_stock=true", "category=%s&sort=newest", "category=%s&min_price=5.00&max_price=50.00",
}

function request()
  local query = math.random(#queries)
  local value = query <= 2 and any(data.words) or any(data.categories)
  return wrk.format("GET", "/products?" .. string.format(queries[query], value))
end
