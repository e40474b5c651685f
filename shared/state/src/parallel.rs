//! The same work on many items, on several threads.
//!
//! A scoped fork and join with one queue, and no pool: a library should not keep threads of a process. For computations
//! that do not wait: they run to their end, on threads that end with the call.

use std::sync::Mutex;

/// `work` for every item, results in the items' order. One thread means the caller's.
///
/// # Panics
/// If `work` does. Its message is printed, and is not part of this panic.
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let queue = Mutex::new(items.iter().enumerate());
    let take = || queue.lock().expect("taking an item does not panic").next();
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        let own: Vec<(usize, R)> = std::iter::from_fn(take).map(|(index, item)| (index, work(item))).collect();
        results.lock().expect("adding results does not panic").extend(own);
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            // Not joined: the scope waits until its work is done, and not until the thread has ended, which takes longer.
            scope.spawn(run);
        }
    });
    let mut results = results.into_inner().expect("adding results does not panic");
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
    /// One thread's panic is the caller's, whatever the others do.
    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_not_lost() {
        super::map(&[1, 2, 3], 2, |item| assert_ne!(*item, 2));
    }
}
