# Prices in cents. To be sourced.

# total PRICE COUNT
total() {
  echo $(($1 + $2))
}

# with_tax CENTS PERCENT
with_tax() {
  echo $(($1 * (100 + $2) / 100))
}
