use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn of(ordinals: &BTreeSet<u32>) -> Postings {
    Postings::from_sorted(&ordinals.iter().copied().collect::<Vec<_>>())
}

fn check(postings: &Postings, model: &BTreeSet<u32>) {
    postings.check_invariants();
    assert_eq!(postings.len(), model.len());
    assert_eq!(postings.is_empty(), model.is_empty());
    assert!(postings.iter().eq(model.iter().copied()));
    assert_eq!(*postings, of(model), "the shape follows from the content");
}

#[test]
fn one_ordinal_takes_no_allocation() {
    assert_eq!(Postings::one(7).memory_bytes(), size_of::<Postings>());
    assert!(size_of::<Postings>() <= 24);
}

#[test]
fn every_shape_is_reached_and_left_again() {
    let (mut postings, mut model) = (Postings::new(), BTreeSet::new());
    let ordinals = (0..6_000_u32).map(|n| n * 7 + 65_000);
    for ordinal in ordinals.clone() {
        assert!(postings.insert(ordinal) && !postings.insert(ordinal));
        model.insert(ordinal);
        if ordinal % 512 == 0 || model.len() < 40 {
            check(&postings, &model);
        }
    }
    check(&postings, &model);
    for ordinal in ordinals.rev() {
        assert!(postings.remove(ordinal) && !postings.remove(ordinal));
        model.remove(&ordinal);
        if ordinal % 512 == 0 || model.len() < 40 {
            check(&postings, &model);
        }
    }
    assert!(postings.is_empty());
}

#[test]
fn dense_sets_are_bits_and_sparse_ones_are_not() {
    let dense = Postings::from_sorted(&(0..1_000_000).collect::<Vec<_>>());
    assert!(dense.memory_bytes() < 140_000, "{} bytes", dense.memory_bytes());
    let sparse = Postings::from_sorted(&(0..1_000_000).step_by(1_000).collect::<Vec<_>>());
    assert!(sparse.memory_bytes() < 4_000, "{} bytes", sparse.memory_bytes());
}

/// I10: a change to a large set copies one container.
#[test]
fn an_edit_shares_the_containers_that_it_does_not_touch() {
    let old = Postings::from_sorted(&(0..1_000_000).collect::<Vec<_>>());
    let mut new = old.clone();
    assert!(new.remove(500_000));
    let same = |(a, b): (&(u16, Container), &(u16, Container))| match (&a.1, &b.1) {
        (Container::Bits(a), Container::Bits(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let (old, new) = (old.many().expect("large"), new.many().expect("large"));
    let shared = old.containers.iter().zip(&new.containers).filter(|pair| same(*pair)).count();
    assert_eq!(shared, old.containers.len() - 1);
}

/// Sets of every shape: few, sorted containers, dense containers, several of them.
fn ordinals() -> impl Strategy<Value = BTreeSet<u32>> {
    let few = prop::collection::btree_set(0..100_u32, 0..40);
    let wide = prop::collection::btree_set(0..400_000_u32, 0..500);
    let dense = (0..200_000_u32, 1..12_000_u32, 1..4_usize)
        .prop_map(|(start, len, step)| (start..start + len).step_by(step).collect::<BTreeSet<_>>());
    prop_oneof![few, wide.clone(), dense.clone(), (wide, dense).prop_map(|(a, b)| &a | &b)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn and_agrees_with_a_set(left in ordinals(), right in ordinals()) {
        let both = of(&left).and(&of(&right));
        check(&both, &(&left & &right));
        check(&of(&right).and(&of(&left)), &(&left & &right));
        prop_assert_eq!(of(&left).and(&of(&left)), of(&left));
    }

    /// Against a `BTreeSet`; versions kept on the way still hold what they held (I2, I3).
    #[test]
    fn agrees_with_a_set(
        start in ordinals(),
        edits in prop::collection::vec((0..70_000_u32, 0..8_u8), 0..300),
    ) {
        let (mut postings, mut model) = (of(&start), start);
        let mut kept = Vec::new();
        for (ordinal, kind) in edits {
            match kind {
                0 => kept.push((postings.clone(), model.clone())),
                1 | 2 => prop_assert_eq!(postings.remove(ordinal), model.remove(&ordinal)),
                3 => if let Some(last) = model.pop_last() { prop_assert!(postings.remove(last)) },
                _ => prop_assert_eq!(postings.insert(ordinal), model.insert(ordinal)),
            }
        }
        kept.push((postings, model));
        for (postings, model) in kept {
            check(&postings, &model);
            prop_assert!((0..70_000).step_by(7).all(|ordinal| postings.contains(ordinal) == model.contains(&ordinal)));
        }
    }
}
