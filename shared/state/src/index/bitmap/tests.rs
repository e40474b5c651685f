use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn check(set: &LiveSet, model: &BTreeSet<u32>) {
    set.check_invariants();
    assert_eq!(set.len(), model.len());
    assert!(set.iter().eq(model.iter().copied()));
}

#[test]
fn absent_ordinals_come_in_order_and_stop_at_the_bound() {
    let mut set: LiveSet = (0..30_000).collect();
    for ordinal in [3, 64, 8_191, 8_192, 29_999] {
        assert!(set.remove(ordinal));
    }
    assert_eq!(set.absent(0..30_000).collect::<Vec<_>>(), [3, 64, 8_191, 8_192, 29_999]);
    assert_eq!(set.absent(4..8_192).collect::<Vec<_>>(), [64, 8_191]);
    assert_eq!(set.absent(29_998..30_002).collect::<Vec<_>>(), [29_999, 30_000, 30_001]);
    assert_eq!(set.absent(5..5).count(), 0);
    assert_eq!(set.absent(1_000_000..1_000_003).count(), 3, "beyond the capacity");
    assert_eq!(LiveSet::new().absent(u32::MAX - 1..u32::MAX).count(), 1);
}

#[test]
fn emptied_tail_pages_go() {
    let mut set: LiveSet = [1, 50_000].into_iter().collect();
    assert_eq!(set.capacity(), 7 * 8_192);
    assert!(set.remove(50_000));
    assert_eq!(set.capacity(), 8_192);
    assert!(set.remove(1) && !set.remove(1));
    assert_eq!(set.capacity(), 0);
}

#[test]
fn bits_may_begin_anywhere() {
    for first in [0, 1, 3, 60, 8_190, 100_000] {
        let mut set: LiveSet = [first + 2].into_iter().collect();
        set.insert_bits(first, &[0b1000_0101, 0, 0b0000_0001]);
        check(&set, &[first, first + 2, first + 7, first + 16].into());
    }
}

/// I10: an edit copies one page.
#[test]
fn an_edit_shares_the_pages_that_it_does_not_touch() {
    let old: LiveSet = (0..200_000).collect();
    let mut new = old.clone();
    assert!(!new.insert(7), "already live: copies nothing");
    assert!(new.remove(100_000));
    let shared = old.pages.iter().zip(new.pages.iter()).filter(|(a, b)| Arc::ptr_eq(&a.words, &b.words)).count();
    assert_eq!(shared, old.pages.len() - 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a `BTreeSet`; versions kept on the way still hold what they held (I2, I3).
    #[test]
    fn agrees_with_a_set(edits in prop::collection::vec((0..40_000_u32, 0..8_u8), 0..600)) {
        let (mut set, mut model) = (LiveSet::new(), BTreeSet::new());
        let mut kept = Vec::new();
        for (ordinal, kind) in edits {
            match kind {
                0 => kept.push((set.clone(), model.clone())),
                1 | 2 => prop_assert_eq!(set.remove(ordinal), model.remove(&ordinal)),
                3 => if let Some(first) = model.pop_first() { prop_assert!(set.remove(first)) },
                _ => prop_assert_eq!(set.insert(ordinal), model.insert(ordinal)),
            }
        }
        kept.push((set, model));
        for (set, model) in kept {
            check(&set, &model);
            prop_assert!((0..40_100).all(|ordinal| set.contains(ordinal) == model.contains(&ordinal)));
            prop_assert!(set.absent(100..39_000).eq((100..39_000).filter(|ordinal| !model.contains(ordinal))));
        }
    }
}
