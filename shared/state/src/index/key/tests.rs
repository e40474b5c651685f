use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// In place of rows: the ordinal is the key, its hash a mix of it, coarse on demand to force equal hashes.
fn hash_of(ordinal: u32, kinds: u64) -> u64 {
    let mut mixed = (u64::from(ordinal) % kinds).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for shift in [32, 29, 31] {
        mixed = (mixed ^ mixed >> shift).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    }
    mixed ^ mixed >> 32
}

fn mixed(ordinal: u32) -> u64 {
    hash_of(ordinal, u64::MAX)
}

fn entries(ordinals: std::ops::Range<u32>) -> Vec<(u64, u32)> {
    ordinals.map(|ordinal| (mixed(ordinal), ordinal)).collect()
}

fn sorted(index: &KeyIndex) -> Vec<u32> {
    let mut ordinals: Vec<u32> = index.iter().collect();
    ordinals.sort_unstable();
    ordinals
}

fn bytes_per_entry(index: &KeyIndex) -> f64 {
    index.memory_bytes() as f64 / index.len() as f64
}

/// Everything that decides what a later edit does: equal layouts are equal structures.
fn layout(index: &KeyIndex) -> Vec<Vec<u32>> {
    let page = |page: &Page| page.ordinals().chain([page.lines.len() as u32]).collect();
    index.pages.iter().map(page).collect()
}

#[test]
fn finds_what_was_inserted_and_nothing_else() {
    let mut index = KeyIndex::new();
    for ordinal in 0..3_000 {
        index.insert(mixed(ordinal), ordinal, &mut mixed);
        assert_eq!(index.find(mixed(ordinal), |found| found == ordinal), Some(ordinal));
    }
    index.check_invariants(&mut mixed);
    assert!((0..3_000).all(|ordinal| index.find(mixed(ordinal), |found| found == ordinal) == Some(ordinal)));
    assert!((3_000..9_000).all(|ordinal| index.find(mixed(ordinal), |found| found == ordinal).is_none()));
    assert_eq!(sorted(&index), (0..3_000).collect::<Vec<_>>());
}

#[test]
fn a_miss_asks_about_few_candidates() {
    let index = KeyIndex::build(&entries(0..50_000));
    let mut asked = 0;
    for ordinal in 100_000..150_000 {
        index.find(mixed(ordinal), |_| {
            asked += 1;
            false
        });
    }
    assert!(asked < 3_500, "{asked} candidates in 50,000 misses");
}

/// The share of look-ups for absent keys that read more than their home line.
fn far_misses(index: &KeyIndex) -> f64 {
    let far = |hash: &u64| {
        let lines = &index.pages.page(page_of(*hash, index.pages.len())).lines;
        lines[home_of(*hash, lines.len())].may_have_spilled(tag_of(*hash))
    };
    (1_000_000_000..1_000_100_000).map(mixed).filter(far).count() as f64 / 100_000.0
}

#[test]
fn a_miss_reads_one_line() {
    let mut index = KeyIndex::build(&entries(0..100_000));
    assert!(far_misses(&index) < 0.02, "{} of misses, built", far_misses(&index));
    let mut worst: f64 = 0.0;
    for ordinal in 100_000..200_000 {
        index.insert(mixed(ordinal), ordinal, &mut mixed);
        if ordinal % 10_000 == 0 {
            worst = worst.max(far_misses(&index));
        }
    }
    assert!(worst < 0.05, "{worst} of misses, grown");
}

#[test]
fn growth_keeps_pages_filled() {
    let mut index = KeyIndex::new();
    let mut worst: f64 = 0.0;
    for ordinal in 0..1_000_000 {
        index.insert(mixed(ordinal), ordinal, &mut mixed);
        let len = index.len();
        if len >= 10_000 && len.is_multiple_of(len / 64) {
            worst = worst.max(bytes_per_entry(&index));
        }
    }
    assert!(worst < 9.0, "{worst} bytes per entry at worst");
    index.check_invariants(&mut mixed);
}

#[test]
fn rehashing_is_amortised() {
    let mut rehashed = 0_u64;
    let mut index = KeyIndex::build(&entries(0..100_000));
    for ordinal in 100_000..300_000 {
        index.insert(mixed(ordinal), ordinal, &mut |ordinal| {
            rehashed += 1;
            mixed(ordinal)
        });
    }
    assert!(rehashed < 200_000 * 10, "{rehashed} hashes for 200,000 inserts");
}

#[test]
fn deletions_followed_by_inserts_give_memory_back() {
    let mut index = KeyIndex::build(&entries(0..400_000));
    for ordinal in 0..360_000 {
        assert!(index.remove(mixed(ordinal), ordinal));
    }
    for ordinal in 500_000..540_000 {
        index.insert(mixed(ordinal), ordinal, &mut mixed);
    }
    assert!(bytes_per_entry(&index) < 9.5, "{} bytes per entry", bytes_per_entry(&index));
    index.check_invariants(&mut mixed);
    let left: Vec<u32> = (360_000..400_000).chain(500_000..540_000).collect();
    assert_eq!(sorted(&index), left);
    for ordinal in left {
        assert!(index.remove(mixed(ordinal), ordinal));
    }
    assert!(index.is_empty());
    index.check_invariants(&mut mixed);
}

#[test]
fn churn_at_one_size_neither_grows_nor_lengthens_probes() {
    let mut index = KeyIndex::build(&entries(0..50_000));
    for ordinal in 50_000..500_000 {
        assert!(index.remove(mixed(ordinal - 50_000), ordinal - 50_000));
        index.insert(mixed(ordinal), ordinal, &mut mixed);
    }
    index.check_invariants(&mut mixed);
    assert!(bytes_per_entry(&index) < 9.5, "{} bytes per entry", bytes_per_entry(&index));
    assert!(far_misses(&index) < 0.1, "{} of misses read more than a line", far_misses(&index));
}

#[test]
fn equal_hashes_outgrow_a_page_and_stay_correct() {
    let same = |_: u32| 0xABCD_EF01_2345_6789_u64;
    let mut index = KeyIndex::new();
    for ordinal in 0..5_000 {
        index.insert(same(0), ordinal, &mut { same });
    }
    index.check_invariants(&mut { same });
    assert_eq!(index.find(same(0), |found| found == 4_321), Some(4_321));
    assert_eq!(index.find(same(0), |_| false), None);
    for ordinal in (0..5_000).step_by(2) {
        assert!(index.remove(same(0), ordinal));
        assert!(!index.remove(same(0), ordinal));
    }
    index.check_invariants(&mut { same });
    assert_eq!(sorted(&index), (1..5_000).step_by(2).collect::<Vec<_>>());
    let built = KeyIndex::build(&(0..2_000).map(|ordinal| (same(0), ordinal)).collect::<Vec<_>>());
    built.check_invariants(&mut { same });
}

/// I2, I3: an edit never shows in an older version.
#[test]
fn edits_after_a_clone_leave_the_older_version_alone() {
    let old = KeyIndex::build(&entries(0..20_000));
    let before = layout(&old);
    let mut new = old.clone();
    for ordinal in 0..5_000 {
        assert!(new.remove(mixed(ordinal), ordinal));
        new.insert(mixed(ordinal + 50_000), ordinal + 50_000, &mut mixed);
    }
    for ordinal in 60_000..90_000 {
        new.insert(mixed(ordinal), ordinal, &mut mixed);
    }
    assert_eq!(layout(&old), before);
    old.check_invariants(&mut mixed);
    new.check_invariants(&mut mixed);
}

/// I10: one insert copies one page and its way to the root.
#[test]
fn an_edit_shares_the_pages_that_it_does_not_touch() {
    let old = KeyIndex::build(&entries(0..100_000));
    let mut new = old.clone();
    assert!(!new.remove(mixed(100_001), 100_001), "a miss");
    let shared = |new: &KeyIndex| {
        let same = old.pages.iter().zip(new.pages.iter()).filter(|(a, b)| Arc::ptr_eq(&a.lines, &b.lines));
        same.count()
    };
    assert_eq!(shared(&new), old.pages.len());
    assert!(new.remove(mixed(7), 7));
    assert_eq!(shared(&new), old.pages.len() - 1);
}

#[test]
fn the_same_edits_make_the_same_structure() {
    let edited = || {
        let mut index = KeyIndex::build(&entries(0..10_000));
        for ordinal in 10_000..30_000 {
            index.insert(mixed(ordinal), ordinal, &mut mixed);
            index.remove(mixed(ordinal / 2), ordinal / 2);
        }
        index
    };
    assert_eq!(layout(&edited()), layout(&edited()));
}

#[test]
fn threads_do_not_change_what_is_built() {
    for count in [0, 1, 100, 40_000] {
        let entries = entries(0..count);
        let alone = KeyIndex::build(&entries);
        alone.check_invariants(&mut mixed);
        for threads in [0, 1, 2, 3, 7] {
            let shares: Vec<_> = entries.chunks(entries.len().div_ceil(threads.max(1)).max(1)).collect();
            let together = KeyIndex::build_parallel(entries.len(), &shares, threads, |share| share.iter().copied());
            assert_eq!(layout(&alone), layout(&together.expect("the keys are different")));
        }
    }
}

#[test]
fn equal_keys_are_reported_before_they_cost() {
    let of_one_key = |(): &()| (0..1_000_000).map(|ordinal| (mixed(7), ordinal));
    assert!(KeyIndex::build_parallel(1_000_000, &[()], 2, of_one_key).is_none());
    let mut index = KeyIndex::build(&entries(0..100_000));
    let crowded = (100_000..).find(|ordinal| {
        index.insert(mixed(7), *ordinal, &mut |other| mixed(if other < 100_000 { other } else { 7 }));
        index.is_crowded(mixed(7))
    });
    assert!(crowded.is_some_and(|ordinal| ordinal < 105_000));
    assert!(!index.is_crowded(mixed(8)));
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(u32),
    Remove(u32),
    Keep,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        8 => (0..3_000_u32).prop_map(Edit::Insert),
        5 => (0..3_000_u32).prop_map(Edit::Remove),
        1 => Just(Edit::Keep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a `HashMap`, with few to all hashes distinct, from an empty or a built index; every version kept on
    /// the way still holds what it held.
    #[test]
    fn agrees_with_a_hash_map(
        start in 0..1_500_u32,
        kinds in prop_oneof![Just(3_u64), Just(100), Just(u64::MAX)],
        edits in prop::collection::vec(edit(), 0..1_500),
    ) {
        let hash = |ordinal: u32| hash_of(ordinal, kinds);
        let entries: Vec<_> = (0..start).map(|ordinal| (hash(ordinal), ordinal)).collect();
        let mut index = KeyIndex::build(&entries);
        let mut model: HashMap<u32, u64> = entries.iter().map(|(hash, ordinal)| (*ordinal, *hash)).collect();
        let mut kept = Vec::new();
        for edit in edits {
            match edit {
                Edit::Insert(ordinal) => {
                    if model.insert(ordinal, hash(ordinal)).is_none() {
                        index.insert(hash(ordinal), ordinal, &mut { hash });
                    }
                }
                Edit::Remove(ordinal) => {
                    prop_assert_eq!(index.remove(hash(ordinal), ordinal), model.remove(&ordinal).is_some());
                }
                Edit::Keep => kept.push((index.clone(), model.clone())),
            }
        }
        kept.push((index, model));
        for (index, model) in kept {
            index.check_invariants(&mut { hash });
            prop_assert_eq!(index.len(), model.len());
            for ordinal in 0..3_000 {
                let found = index.find(hash(ordinal), |found| found == ordinal);
                prop_assert_eq!(found, model.contains_key(&ordinal).then_some(ordinal));
            }
        }
    }
}
