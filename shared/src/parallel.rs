//! The same work on many items, on several threads.
//!
//! For computations that own no time: they run to their end, on threads that live no longer than the call.

use std::sync::Mutex;

/// `work` for every item, results in the items' order. One thread means the caller's.
///
/// # Panics
/// If `work` does.
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let queue = Mutex::new(items.iter().enumerate());
    let take = || queue.lock().expect("taking an item does not panic").next();
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let run = || std::iter::from_fn(take).map(|(index, item)| (index, work(item))).collect::<Vec<_>>();
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_keep_the_order_of_items() {
        let items: Vec<u32> = (0..1_000).collect();
        let doubled: Vec<u32> = items.iter().map(|item| item * 2).collect();
        for threads in [1, 2, 7] {
            assert_eq!(super::map(&items, threads, |item| item * 2), doubled);
        }
    }
}
