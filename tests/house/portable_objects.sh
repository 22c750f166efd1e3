#!/bin/sh
# portable_objects.sh NM OBJECT...: the objects that are compiled for one instruction set may define nothing that the linker
# could pick for the rest of the program (a weak std::vector<...>::push_back with AVX-512 in it), or the binary would
# die on an older machine far from any dispatch.
nm=$1
shift
seen=0
failed=0
for object in "$@"; do
  case $object in *isa_*.o) ;; *) continue ;; esac
  seen=$((seen + 1))
  if weak=$("$nm" -C --defined-only "$object" | grep ' [WVu] '); then
    printf '%s defines weak symbols; force them inline or move them out:\n%s\n' "$object" "$weak"
    failed=1
  fi
done
if [ "$seen" -eq 0 ]; then
  echo "no object of one instruction set among $# objects: has src/kernels/cpu been renamed?"
  failed=1
fi
exit $failed
