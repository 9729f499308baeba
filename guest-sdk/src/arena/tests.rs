//! The arena over a buffer of the test's own.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use super::{Arena, Region};

const BYTES: usize = 1024;

/// An arena and the memory it cuts up, aligned to 16 bytes.
fn arena() -> (Arena, usize) {
    let memory = Box::leak(Box::new([0_u128; BYTES / size_of::<u128>()]));
    let start = memory.as_ptr() as usize;
    let arena = Arena { initial: Region::empty(), grown: Region::empty(), live: Cell::new(0) };
    arena.initial.open(start, BYTES);
    (arena, start)
}

fn layout(bytes: usize, align: usize) -> Layout {
    Layout::from_size_align(bytes, align).expect("the layout is one")
}

/// Allocates, and says how far into the memory the block lies.
#[expect(unsafe_code, reason = "the test calls the allocator as a program does")]
fn alloc(arena: &Arena, start: usize, bytes: usize, align: usize) -> Option<usize> {
    // SAFETY: no layout in these tests has the size 0.
    let block = unsafe { arena.alloc(layout(bytes, align)) };
    (!block.is_null()).then(|| block as usize - start)
}

#[expect(unsafe_code, reason = "the test calls the allocator as a program does")]
fn free(arena: &Arena, start: usize, offset: usize, bytes: usize) {
    // SAFETY: the tests free what they allocated, once.
    unsafe { arena.dealloc((start + offset) as *mut u8, layout(bytes, 1)) }
}

#[expect(unsafe_code, reason = "the test calls the allocator as a program does")]
fn resize(arena: &Arena, start: usize, offset: usize, old: usize, new: usize) -> usize {
    // SAFETY: the tests resize what they allocated.
    let block = unsafe { arena.realloc((start + offset) as *mut u8, layout(old, 1), new) };
    block as usize - start
}

#[test]
fn blocks_follow_one_another_and_are_aligned() {
    let (arena, start) = arena();
    assert_eq!(alloc(&arena, start, 3, 1), Some(0));
    assert_eq!(alloc(&arena, start, 8, 8), Some(8));
    assert_eq!(alloc(&arena, start, 1, 1), Some(16));
    assert_eq!(alloc(&arena, start, BYTES - 17, 1), Some(17));
    assert_eq!(alloc(&arena, start, 1, 1), None);
}

#[test]
fn the_arena_starts_over_when_every_block_is_free() {
    let (arena, start) = arena();
    alloc(&arena, start, 100, 1);
    alloc(&arena, start, 50, 1);
    free(&arena, start, 0, 100);
    assert_eq!(alloc(&arena, start, 1, 1), Some(150));
    free(&arena, start, 150, 1);
    free(&arena, start, 100, 50);
    assert_eq!(alloc(&arena, start, 1, 1), Some(0));
}

#[test]
fn what_lies_before_the_mark_stays() {
    let (arena, start) = arena();
    alloc(&arena, start, 100, 1);
    arena.set_mark();
    assert_eq!(alloc(&arena, start, 10, 1), Some(100));
    free(&arena, start, 100, 10);
    // A block from before the mark is freed: its place is not handed out, and the count of live blocks does not change.
    free(&arena, start, 0, 100);
    assert_eq!(alloc(&arena, start, 10, 1), Some(100));
    free(&arena, start, 100, 10);
    assert_eq!(alloc(&arena, start, 10, 1), Some(100));
}

#[test]
fn a_block_before_the_mark_does_not_grow_over_it() {
    let (arena, start) = arena();
    alloc(&arena, start, 100, 1);
    arena.set_mark();
    assert_eq!(resize(&arena, start, 0, 100, 200), 100);
    assert_eq!(alloc(&arena, start, 1, 1), Some(300));
}

#[test]
fn the_last_block_grows_and_shrinks_in_place() {
    let (arena, start) = arena();
    alloc(&arena, start, 10, 1);
    alloc(&arena, start, 10, 1);
    assert_eq!(resize(&arena, start, 10, 10, 40), 10);
    assert_eq!(resize(&arena, start, 10, 40, 20), 10);
    assert_eq!(alloc(&arena, start, 1, 1), Some(30));
    // A block in the middle shrinks where it is and moves to grow.
    assert_eq!(resize(&arena, start, 0, 10, 5), 0);
    assert_eq!(resize(&arena, start, 0, 5, 10), 31);
}
