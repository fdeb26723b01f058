#!/bin/sh
# A build that takes its time: six steps of one second.
for step in 1 2 3 4 5 6; do
  echo "step $step of 6"
  sleep 1
done
echo "hello" >program
