;; The code of a transform whose rows say what to do. It has one input column, an int64, and no output column, so that all
;; there is to a row is how it ends:
;;
;;   0 nothing   1 loop for ever   2 `unreachable`   3 recurse for ever   4 grow past the limit and insist
;;   5 ask for 4 GiB and take no for an answer   6 grow by a page   7 return an error   8 claim one row too many
;;   9 divide by zero   10 read out of bounds   100 and more: loop as many times
(memory (export "memory") 16)
(global $next (mut i32) (i32.const 4096))
;; Hands out memory from 4096 on, and takes none back.
(func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
  (local $block i32)
  (local.set $block (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
  (global.set $next (i32.add (local.get $block) (local.get $size)))
  (local.get $block))
(func $recurse (result i32) (i32.add (call $recurse) (i32.const 1)))
(func $loop (param $times i64)
  (loop $again
    (local.set $times (i64.sub (local.get $times) (i64.const 1)))
    (br_if $again (i64.gt_s (local.get $times) (i64.const 0)))))
(func $row (param $x i64)
  (if (i64.eq (local.get $x) (i64.const 1)) (then (loop $ever (br $ever))))
  (if (i64.eq (local.get $x) (i64.const 2)) (then unreachable))
  (if (i64.eq (local.get $x) (i64.const 3)) (then (drop (call $recurse))))
  (if (i64.eq (local.get $x) (i64.const 4)) (then
    (if (i32.eq (memory.grow (i32.const 4096)) (i32.const -1)) (then unreachable))))
  (if (i64.eq (local.get $x) (i64.const 5)) (then (drop (memory.grow (i32.const 65536)))))
  (if (i64.eq (local.get $x) (i64.const 6)) (then (drop (memory.grow (i32.const 1)))))
  ;; The result is at 1024: its first byte says ok or error, the number of rows follows at 1028.
  (if (i64.eq (local.get $x) (i64.const 7)) (then (i32.store8 (i32.const 1024) (i32.const 1))))
  (if (i64.eq (local.get $x) (i64.const 8)) (then
    (i32.store (i32.const 1028) (i32.add (i32.load (i32.const 1028)) (i32.const 1)))))
  (if (i64.eq (local.get $x) (i64.const 9)) (then (drop (i32.div_u (i32.const 1) (i32.const 0)))))
  (if (i64.eq (local.get $x) (i64.const 10)) (then (drop (i32.load (i32.const -8)))))
  (if (i64.ge_s (local.get $x) (i64.const 100)) (then (call $loop (local.get $x)))))
(func (export "apply") (param $rows i32) (param $columns i32) (param $count i32) (result i32)
  (local $values i32) (local $end i32)
  (i32.store (i32.const 1028) (local.get $rows))
  (local.set $values (i32.load offset=4 (local.get $columns)))
  (local.set $end (i32.add (local.get $values) (i32.shl (local.get $rows) (i32.const 3))))
  (block $done
    (loop $each
      (br_if $done (i32.eq (local.get $values) (local.get $end)))
      (call $row (i64.load (local.get $values)))
      (local.set $values (i32.add (local.get $values) (i32.const 8)))
      (br $each)))
  ;; An error is the text at 1028, of which nothing but the length is to be mended.
  (if (i32.load8_u (i32.const 1024)) (then (i64.store (i32.const 1028) (i64.const 0))))
  (i32.const 1024))
