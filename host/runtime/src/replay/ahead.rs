use std::sync::mpsc;

/// How many items wait at most.
const ITEMS_MAX: usize = 4;

/// Hands items on in their order until one is refused. With more than one thread, the items are made on one of their own, a few
/// ahead of whoever takes them.
pub(super) fn each_ahead<T: Send, E>(
    threads: usize,
    mut items: impl Iterator<Item = T> + Send,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    if threads < 2 {
        return items.try_for_each(take);
    }
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(ITEMS_MAX);
        // Nobody receives any more once an item was refused.
        scope.spawn(move || items.try_for_each(|item| sender.send(item)));
        receiver.iter().try_for_each(&mut take)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_until_one_is_refused() {
        for threads in [1, 2] {
            let mut taken = Vec::new();
            let mut take_below = |limit: u32| {
                taken.clear();
                let found = each_ahead(threads, 0..1000, |item| {
                    taken.push(item);
                    if item < limit { Ok(()) } else { Err(item) }
                });
                (found, taken.clone())
            };
            assert_eq!(take_below(2000), (Ok(()), (0..1000).collect()));
            assert_eq!(take_below(20), (Err(20), (0..=20).collect()));
        }
    }
}
