//! The allocator of a component: an arena inside the initial memory.
//!
//! A guest that grows its memory on first use makes the host change page protections and fault pages in, which costs more
//! than the call itself. The arena is part of the initial memory, hands out blocks by moving a pointer, and starts over
//! whenever every block since the end of `configure` is free again. A call therefore finds the arena as the call before it
//! did and consumes the same fuel. What does not fit goes to memory that is grown, by the same rules.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};
use std::ptr::null_mut;

/// Room for a call on a few rows or states. Every fresh instance has to be cleared, so more room would slow down just those
/// calls that must be fast; a large batch pays for growth once.
const ARENA_BYTES: usize = 128 << 10;

/// Memory grows by at least this much, so that a large batch grows it a few times and not once a column.
const GROWTH_BYTES_MIN: usize = 1 << 20;

const PAGE_BYTES: usize = 1 << 16;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: Arena = Arena { initial: Region::empty(), grown: Region::empty(), live: Cell::new(0) };

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; ARENA_BYTES]>);

static MEMORY: Memory = Memory(UnsafeCell::new([0; ARENA_BYTES]));

/// Keeps what has been allocated so far for the rest of the instance's life: the arena starts over from here.
#[cfg(target_arch = "wasm32")]
pub(crate) fn set_mark() {
    ALLOCATOR.set_mark();
}

struct Arena {
    initial: Region,
    grown: Region,
    /// Blocks allocated since the mark and not yet freed, in both regions.
    live: Cell<usize>,
}

/// A run of addresses from which blocks are cut in order.
struct Region {
    next: Cell<usize>,
    end: Cell<usize>,
    mark: Cell<usize>,
}

#[expect(unsafe_code, reason = "a component has one thread, and a global allocator must be shareable")]
unsafe impl Sync for Arena {}

#[expect(unsafe_code, reason = "only the allocator touches the memory, and a component has one thread")]
unsafe impl Sync for Memory {}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; blocks never overlap because `next` only passes what it has handed out"
)]
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.initial.end.get() == 0 {
            self.initial.open(MEMORY.0.get() as usize, ARENA_BYTES);
        }
        let block = self
            .initial
            .take(layout)
            .or_else(|| self.grown.take(layout))
            .or_else(|| self.grown.grow(layout).and_then(|()| self.grown.take(layout)));
        match block {
            Some(address) => {
                self.live.set(self.live.get() + 1);
                address as *mut u8
            }
            None => null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let address = block as usize;
        let region = self.region(address);
        // A block from before the mark was never counted; its place is not used again.
        if address < region.mark.get() {
            return;
        }
        region.give_back(address, layout.size());
        self.live.set(self.live.get() - 1);
        if self.live.get() == 0 {
            self.initial.start_over();
            self.grown.start_over();
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.region(block as usize).resize(block as usize, layout.size(), size) {
            return block;
        }
        // SAFETY: the caller vouches for block and layout, and a new block is at another place than a live one.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

impl Arena {
    fn set_mark(&self) {
        self.initial.mark.set(self.initial.next.get());
        self.grown.mark.set(self.grown.next.get());
        self.live.set(0);
    }

    fn region(&self, address: usize) -> &Region {
        if address < self.initial.end.get() { &self.initial } else { &self.grown }
    }
}

impl Region {
    const fn empty() -> Self {
        Self { next: Cell::new(0), end: Cell::new(0), mark: Cell::new(0) }
    }

    fn open(&self, start: usize, bytes: usize) {
        self.next.set(start);
        self.mark.set(start);
        self.end.set(start + bytes);
    }

    fn take(&self, layout: Layout) -> Option<usize> {
        let start = self.next.get().checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        if end > self.end.get() {
            return None;
        }
        self.next.set(end);
        Some(start)
    }

    /// Frees the place of a block when nothing lies behind it.
    fn give_back(&self, address: usize, bytes: usize) {
        if address + bytes == self.next.get() {
            self.next.set(address);
        }
    }

    /// Resizes a block where it is: any block can shrink, and the last one can take what lies behind it.
    fn resize(&self, address: usize, old_bytes: usize, new_bytes: usize) -> bool {
        // What lies before the mark stays as it is: moving `next` below the mark, or a kept block over it, would let blocks overlap.
        let last = address + old_bytes == self.next.get() && address >= self.mark.get();
        let fits = address.checked_add(new_bytes).is_some_and(|end| end <= self.end.get());
        if last && fits {
            self.next.set(address + new_bytes);
        }
        new_bytes <= old_bytes || (last && fits)
    }

    fn start_over(&self) {
        self.next.set(self.mark.get());
    }

    /// Adds pages behind the region. Nobody else grows this memory, so the pages follow the ones before them.
    fn grow(&self, layout: Layout) -> Option<()> {
        let bytes = layout.size().checked_add(layout.align())?.max(GROWTH_BYTES_MIN);
        let pages = bytes.div_ceil(PAGE_BYTES);
        let first = grow_memory(pages)?;
        if self.end.get() == 0 {
            self.open(first * PAGE_BYTES, 0);
        }
        // The last page may end at 4 GiB, which no address can say; a host never allows that much.
        self.end.set((first + pages).checked_mul(PAGE_BYTES)?);
        Some(())
    }
}

/// Adds pages to the memory, and says which is the first of them.
#[cfg(target_arch = "wasm32")]
fn grow_memory(pages: usize) -> Option<usize> {
    let first = core::arch::wasm32::memory_grow(0, pages);
    (first != usize::MAX).then_some(first)
}

/// On a native target, where only tests use the arena, there is no more memory.
#[cfg(not(target_arch = "wasm32"))]
fn grow_memory(_: usize) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests;
