# Which of the two slots runs: two sectors of the medium, each with a state; the newer one that is whole counts. One is
# written over the older at a time, so a power cut in the middle leaves the other. src/board/slots.rs writes them too.
#   waypost-slots 1 / sequence N / good a|b / trial a|b|- / tries N / word WHY / sum SHA-256 of the lines above
slots_sector=30720 # 15 MiB, before the first partition

slots_text() { dd if="$1" bs=512 skip=$((slots_sector + $2)) count=1 2>/dev/null | tr -d '\000'; }
slots_field() { echo "$1" | sed -n "s/^$2 //p"; }
slots_whole() {
  [ "$(echo "$1" | sed -n 1p)" = "waypost-slots 1" ] &&
    [ "$(echo "$1" | sed -n '1,/^word /p' | sha256sum | cut -d' ' -f1)" = "$(slots_field "$1" sum)" ]
}
slots_read() {
  sequence=0 good=a trial=- tries=0 word=-
  for place in 0 1; do
    text=$(slots_text "$1" $place)
    slots_whole "$text" || continue
    [ "$(slots_field "$text" sequence)" -gt "$sequence" ] || continue
    sequence=$(slots_field "$text" sequence) good=$(slots_field "$text" good) trial=$(slots_field "$text" trial)
    tries=$(slots_field "$text" tries) word=$(slots_field "$text" word)
  done
}
slots_write() {
  sequence=$((sequence + 1))
  state=$(printf 'waypost-slots 1\nsequence %s\ngood %s\ntrial %s\ntries %s\nword %s' \
    "$sequence" "$good" "$trial" "$tries" "$word")
  sum=$(echo "$state" | sha256sum | cut -d' ' -f1)
  printf '%s\nsum %s\n' "$state" "$sum" | dd bs=512 count=1 conv=sync 2>/dev/null |
    dd of="$1" bs=512 seek=$((slots_sector + sequence % 2)) conv=notrunc,fsync 2>/dev/null
}
# Sets slot. What is on trial is counted before it runs: whatever ends it, it is not run once more.
slots_turn() {
  slots_read "$1"
  if [ "$trial" != - ] && [ "$tries" -gt 0 ]; then
    tries=$((tries - 1)) slot=$trial
    slots_write "$1"
  elif [ "$trial" != - ]; then
    slots_failed "$1" "slot $trial was started and did not serve"
  else
    slot=$good
  fi
}
# Back to the good one for good, or, where that is what failed, to the other for this once.
slots_failed() {
  if [ "$trial" != - ]; then
    trial=- word="fell-back $2" slot=$good
    slots_write "$1"
  elif [ "$slot" = a ]; then slot=b; else slot=a; fi
}
