#!/bin/sh
# Runs the tests, prints each and keeps them in report/tests.txt. Exit code 1 when one fails.
cd "$(dirname "$0")" || exit 2
. ./prices.sh

failed=0
passed=0

# expect WHAT GOT WANTED
expect() {
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
    echo "ok      $1"
  else
    failed=$((failed + 1))
    echo "FAILED  $1: got $2, expected $3"
  fi
}

run() {
  expect 'one apple costs its price' "$(total 120 1)" 120
  expect 'three apples cost three times as much' "$(total 120 3)" 360
  expect 'no apple costs nothing' "$(total 120 0)" 0
  expect 'tax is added' "$(with_tax 200 19)" 238
  echo "$passed passed, $failed failed"
}

mkdir -p report || exit 2
run >report/tests.txt
cat report/tests.txt
! grep -q '^FAILED' report/tests.txt
