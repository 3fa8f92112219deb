-- wrk asks this before each request, the first one included: nothing is sent within the hour.
function delay()
  return 3600 * 1000
end
