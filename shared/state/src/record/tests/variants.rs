//! A program that knows fewer variants of an enum than the dataset has.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::record::Registry;

mod written {
    use super::{BTreeMap, BTreeSet};
    use crate::Record;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
    pub(super) enum Mood {
        A,
        B,
        C,
        D,
    }

    #[derive(Record)]
    #[record(key = "id")]
    pub(super) struct Club {
        pub(super) id: u64,
        pub(super) moods: BTreeSet<Mood>,
        pub(super) listed: Vec<Mood>,
        pub(super) counts: BTreeMap<Mood, u8>,
        pub(super) mood: Mood,
    }
}

mod read {
    use super::{BTreeMap, BTreeSet};
    use crate::Record;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
    pub(super) enum Mood {
        D,
        #[record(other)]
        Unknown,
        A,
        E,
    }

    #[derive(Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(super) struct Club {
        pub(super) id: u64,
        pub(super) moods: BTreeSet<Mood>,
        pub(super) listed: Vec<Mood>,
        pub(super) counts: BTreeMap<Mood, u8>,
        pub(super) mood: Mood,
    }
}

/// What a search finds is what the iterator yields, for every set of variants and every variant.
#[test]
fn searches_agree_with_iteration_where_variants_are_unknown() {
    use read::Mood::{A, D, E, Unknown};
    use written::Mood;

    let all = [Mood::A, Mood::B, Mood::C, Mood::D];
    let clubs = (0..16_u64).map(|bits| {
        let moods: BTreeSet<Mood> = (0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| all[bit]).collect();
        let counts = moods.iter().zip(1..).map(|(mood, count)| (*mood, count)).collect();
        written::Club { id: bits, listed: moods.iter().rev().copied().collect(), counts, moods, mood: Mood::B }
    });
    let mut world = World::of(|registry| registry.with::<written::Club>());
    world.add_all(&clubs.collect::<Vec<_>>());
    world.declared = Registry::new().with::<read::Club>().finish().expect("the types are sound");
    let view = world.view();
    for bits in 0..16 {
        let club = view.get::<read::Club>(bits).expect("it was added");
        assert_eq!(club.moods().len(), bits.count_ones() as usize);
        for mood in [A, D, E, Unknown] {
            let yielded = club.moods().iter().any(|one| one == mood);
            assert_eq!(club.moods().contains(mood), yielded, "{bits:04b} has {mood:?} in its set");
            assert_eq!(club.listed().contains(mood), yielded, "{bits:04b} has {mood:?} in its list");
            assert_eq!(club.counts().contains_key(mood), yielded, "{bits:04b} has the key {mood:?}");
            let first = club.counts().iter().find(|(key, _)| *key == mood).map(|(_, count)| count);
            assert_eq!(club.counts().get(mood), first, "{bits:04b} has a count of {mood:?}");
        }
    }
    let club = view.get::<read::Club>(0b1111).expect("it was added");
    assert_eq!(club.moods().iter().collect::<Vec<_>>(), [A, Unknown, Unknown, D]);
    assert_eq!(club.to_owned().counts, [(A, 1), (Unknown, 3), (D, 4)].into());
    assert_eq!(club.mood(), Unknown);
    assert!(
        view.find_same(&club.to_owned()).is_none(),
        "what reads as unknown can't be written, so nothing is the same"
    );
}
